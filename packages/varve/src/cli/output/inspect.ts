import { EngineError } from '@varve/client';
import type { ParsedArguments } from '../flags.ts';
import type { Terminal } from '../terminal.ts';
import { compileTemplate } from './template.ts';

/**
 * Prints what `inspect` found for each name: a JSON list, or the template's text for each; names that are not found
 * are reported at the end, as Docker does.
 * @returns 1 when some were missing.
 */
export async function printInspect(
  terminal: Terminal,
  parsed: ParsedArguments,
  inspect: (name: string) => Promise<unknown>,
): Promise<number> {
  const format = parsed.flags.string('format');
  const template = format === undefined || format === 'json' ? undefined : compileTemplate(format);
  const found: unknown[] = [];
  const errors: string[] = [];
  for (const name of parsed.arguments) {
    try {
      found.push(await inspect(name));
    } catch (error) {
      if (!EngineError.is(error) || error.status === 0) throw error;
      errors.push(`Error: ${error.message}`);
    }
  }
  if (template) for (const value of found) terminal.print(template(value));
  else if (format === 'json') terminal.print(JSON.stringify(found));
  else terminal.print(JSON.stringify(found, null, 4));
  for (const error of errors) terminal.warn(error);
  return errors.length === 0 ? 0 : 1;
}
