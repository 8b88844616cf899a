import { readFileSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import type { CommandContext } from '../cli/index.ts';
import type { RegistryConfig } from '../registry/index.ts';

/** The text of a configuration file. @throws VarveError `not-found` (`CONFIG_UNREADABLE`) */
export function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new VarveError(
      'not-found',
      'CONFIG_UNREADABLE',
      `cannot read ${path}: ${(error as Error).message}`,
      { subject: path, cause: error },
    );
  }
}

/** A registry's configuration, from its file and the environment; without a file, what a registry has by itself. */
export async function configOf(context: CommandContext, path: string | undefined): Promise<RegistryConfig> {
  const { loadConfig } = await import('../registry/index.ts');
  return loadConfig(path === undefined ? '' : readConfig(path), context.environment).config;
}
