import type { ProgressLine } from '@varve/client';
import type { Terminal } from '../terminal.ts';

/**
 * Shows progress lines as Docker's client does: on a terminal one line for each layer, redrawn in place; elsewhere
 * each change of status once, without bars.
 * @returns the `aux` objects of the stream.
 */
export async function showProgress(
  terminal: Terminal,
  lines: AsyncIterable<ProgressLine>,
  options: { readonly quiet?: boolean } = {},
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const aux: Readonly<Record<string, unknown>>[] = [];
  const rows = new Map<string, number>();
  let height = 0;
  for await (const line of lines) {
    if (line.aux !== undefined) aux.push(line.aux);
    if (options.quiet === true) continue;
    if (line.stream !== undefined) {
      terminal.stdout.write(line.stream);
      continue;
    }
    if (line.status === undefined) continue;
    const bar = line.progress === undefined || line.progress === '' ? '' : ` ${line.progress}`;
    if (line.id === undefined || line.id === '') {
      terminal.print(line.status + bar);
      rows.clear();
      height = 0;
      continue;
    }
    const text = `${line.id}: ${line.status}`;
    if (!terminal.interactive) {
      // Bars are for eyes; a log gets the steps.
      if (bar === '') terminal.print(text);
      continue;
    }
    let row = rows.get(line.id);
    if (row === undefined) {
      row = height++;
      rows.set(line.id, row);
      terminal.stdout.write('\n');
    }
    const up = height - row;
    terminal.stdout.write(`\x1b[${up}A\x1b[2K\r${(text + bar).slice(0, terminal.width - 1)}\x1b[${up}B\r`);
  }
  return aux;
}
