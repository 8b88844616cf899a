import type { ParsedArguments } from './flags.ts';
import type { Terminal } from './terminal.ts';

/** Asks before something is destroyed; `--force` answers yes. Without a terminal and without --force the answer is no. */
export async function confirm(
  terminal: Terminal,
  parsed: ParsedArguments,
  warning: string,
): Promise<boolean> {
  if (parsed.flags.boolean('force')) return true;
  terminal.print(`WARNING! ${warning}`);
  const { createInterface } = await import('node:readline/promises');
  const reader = createInterface({ input: terminal.stdin, output: terminal.stdout });
  try {
    const answer = await Promise.race([
      reader.question('Are you sure you want to continue? [y/N] '),
      new Promise<string>((resolve) => reader.once('close', () => resolve(''))),
    ]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}
