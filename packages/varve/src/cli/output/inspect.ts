import { EngineError } from '@varve/client';
import { VarveError } from '../../base/index.ts';
import type { ParsedArguments } from '../flags.ts';
import type { Terminal } from '../terminal.ts';
import { compileTemplate } from './template.ts';

/** Where an object of no kind has a name; its message stands alone. */
export const anyKind = 'inspect';

/**
 * Prints what `inspect` found for each name: a JSON list, or the template's text for each; names that are not found
 * are reported at the end, as Docker does.
 * @returns 1 when some were missing or lack what the template asks for.
 */
export async function printInspect(
  terminal: Terminal,
  parsed: ParsedArguments,
  inspect: (name: string) => Promise<unknown>,
): Promise<number> {
  const format = parsed.flags.string('format');
  const template =
    format === undefined || format === '' || format === 'json'
      ? undefined
      : compileTemplate(format, {
          missing: (name, path) =>
            `template parsing error: template: :1: executing "" at <${path}>: map has no entry for key "${name}"`,
        });
  const found: unknown[] = [];
  const errors: string[] = [];
  for (const name of parsed.arguments) {
    try {
      found.push(await inspect(name));
    } catch (error) {
      if (!EngineError.is(error) || error.status === 0) throw error;
      errors.push(`${error.call === anyKind ? 'Error' : 'Error response from daemon'}: ${error.message}`);
    }
  }
  if (template) {
    for (const value of found) {
      try {
        terminal.print(template(value));
      } catch (error) {
        terminal.print();
        terminal.warn(VarveError.from(error).message);
        return 1;
      }
    }
    // Docker ends what it printed with a line end, also when that is nothing.
    if (found.length === 0) terminal.print();
  } else if (format === 'json') terminal.print(JSON.stringify(found));
  else terminal.print(JSON.stringify(found, null, 4));
  for (const error of errors) terminal.warn(error);
  return errors.length === 0 ? 0 : 1;
}
