import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { VarveError } from '../../base/index.ts';
import { errorText } from '../error-text.ts';
import type { Terminal } from '../terminal.ts';

/**
 * Where a command that makes an archive writes it: the file of `--output`, else standard output. Checked before anything is
 * asked of the engine.
 * @param failure what the command calls its failure, in docker's words.
 * @throws VarveError `invalid` for a terminal, and for a path that can't become a file.
 */
export function archiveOutput(
  terminal: Terminal,
  output: string | undefined,
  failure: string,
): (archive: Readable) => Promise<void> {
  if (output === undefined) {
    if (terminal.interactive) {
      throw new VarveError(
        'invalid',
        'USAGE',
        'cowardly refusing to save to a terminal. Use the -o flag or redirect',
      );
    }
    return async (archive) => {
      const { pipeline } = await import('node:stream/promises');
      await pipeline(archive, terminal.stdout, { end: false });
    };
  }
  const refusal = refusalOf(output);
  if (refusal !== undefined) {
    throw new VarveError('invalid', 'OUTPUT_PATH', `${failure}: ${refusal}`, { subject: output });
  }
  return (archive) => writeWhole(archive, output);
}

/** Why a path can't become a file, in docker's words. A device must never be replaced by one. */
function refusalOf(path: string): string | undefined {
  try {
    statSync(dirname(path));
  } catch (error) {
    return `invalid output path: ${errorText(error)}`;
  }
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found || found.isFile()) return undefined;
  if (found.isDirectory()) return 'cannot write to a directory';
  if (found.isCharacterDevice()) return 'cannot write to a character device file';
  if (found.isFIFO()) return 'cannot write to a named pipe (FIFO)';
  if (found.isSocket()) return 'cannot write to a socket';
  return 'cannot write to a device file';
}

/** Writes beside the final name first, so that a failed command leaves nothing. */
async function writeWhole(archive: Readable, output: string): Promise<void> {
  const { pipeline } = await import('node:stream/promises');
  const temporary = `${output}.${process.pid}.tmp`;
  try {
    await pipeline(archive, createWriteStream(temporary));
    renameSync(temporary, output);
  } finally {
    rmSync(temporary, { force: true });
  }
}
