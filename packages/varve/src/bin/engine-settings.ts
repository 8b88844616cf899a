import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { VarveError } from '../base/index.ts';
import { trustBlock } from '../distribution/index.ts';

const texts = z.array(z.string());

/** Keys of the configuration file, as in dockerd's daemon.json. Flags of the same name go by the same rules. */
const fileSchema = z.strictObject({
  hosts: texts.optional(),
  'data-root': z.string().optional(),
  'exec-root': z.string().optional(),
  pidfile: z.string().optional(),
  group: z.string().optional(),
  'storage-driver': z.string().optional(),
  'storage-opts': texts.optional(),
  'default-runtime': z.string().optional(),
  'init-path': z.string().optional(),
  debug: z.boolean().optional(),
  'log-level': z.enum(['debug', 'info', 'warn', 'error', 'fatal']).optional(),
  labels: texts.optional(),
  'live-restore': z.boolean().optional(),
  'shutdown-timeout': z.number().int().optional(),
  'registry-mirrors': texts.optional(),
  'insecure-registries': texts.optional(),
  trust: trustBlock.optional(),
  dns: texts.optional(),
  'dns-search': texts.optional(),
  'dns-opts': texts.optional(),
  bridge: z.string().optional(),
  bip: z.string().optional(),
  'default-address-pools': z.array(z.strictObject({ base: z.string(), size: z.number().int() })).optional(),
});

export type EngineSettings = z.output<typeof fileSchema>;

/** Where dockerd would look; a missing file there is no error. */
export const defaultConfigFile = '/etc/varve/daemon.json';

/**
 * Reads the configuration file.
 * @param required false for the default path: it may be missing.
 * @throws VarveError `invalid` that names the wrong key.
 */
export function readSettings(path: string, required: boolean): EngineSettings {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (!required && (error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new VarveError(
      'not-found',
      'CONFIG_UNREADABLE',
      `cannot read ${path}: ${(error as Error).message}`,
      {
        subject: path,
        cause: error,
      },
    );
  }
  const bad = (why: string): VarveError =>
    new VarveError('invalid', 'CONFIG_INVALID', `unable to configure the engine with file ${path}: ${why}`, {
      subject: path,
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad((error as Error).message);
  }
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  if (issue?.code === 'unrecognized_keys') {
    throw bad(`the following directives don't match any configuration option: ${issue.keys.join(', ')}`);
  }
  throw bad(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/**
 * Flags over the file. One setting in both is a mistake, as in dockerd: nobody could say which one is meant.
 * @throws VarveError `conflict`.
 */
export function mergeSettings(file: EngineSettings, flags: EngineSettings): EngineSettings {
  const twice = Object.keys(flags).filter(
    (key) => key !== 'debug' && file[key as keyof EngineSettings] !== undefined,
  );
  if (twice.length > 0) {
    throw new VarveError(
      'conflict',
      'SETTING_TWICE',
      `the following directives are specified both as a flag and in the configuration file: ${twice.join(', ')}`,
    );
  }
  return { ...file, ...flags };
}
