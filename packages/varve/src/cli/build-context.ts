import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { contextTar, fileTar } from './context-tar.ts';

/** What a build sends: a tar, and the name of the Dockerfile in it. */
export interface BuildContext {
  readonly body: Readable;
  readonly dockerfile: string;
}

async function readAll(stream: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function failure(code: string, message: string, subject: string): VarveError {
  return new VarveError('not-found', code, `unable to prepare context: ${message}`, { subject });
}

/** A Dockerfile of elsewhere goes along under a name of its own, which COPY does not see (docker/cli build). */
function withForeignDockerfile(folder: string, text: Buffer): BuildContext {
  const name = `.dockerfile.${randomBytes(10).toString('hex')}`;
  const ignoreFile = join(folder, '.dockerignore');
  const rules = existsSync(ignoreFile) ? readFileSync(ignoreFile, 'utf8') : '.dockerignore';
  const added = new Map([
    [name, text],
    ['.dockerignore', Buffer.from(`${rules.replace(/\n?$/, '\n')}${name}\n`)],
  ]);
  return { body: contextTar(folder, name, added), dockerfile: name };
}

/**
 * Opens what `varve build PATH` sends. PATH `-` is a tar, or a lone Dockerfile, on stdin; `file` is the Dockerfile,
 * inside or outside the folder, `-` for stdin.
 * @throws VarveError `not-found` when the folder or the Dockerfile is not there.
 */
export async function openContext(
  path: string,
  file: string | undefined,
  stdin: NodeJS.ReadStream,
): Promise<BuildContext> {
  if (path === '-') {
    if (file !== undefined) return { body: stdin, dockerfile: file };
    return stdinContext(stdin);
  }
  const folder = resolve(path);
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw failure('NO_CONTEXT', `path "${path}" not found`, path);
  if (file === '-') return withForeignDockerfile(folder, await readAll(stdin));
  const within = join(folder, file ?? 'Dockerfile');
  const found =
    file === undefined || (!file.startsWith('/') && !existsSync(file)) || resolve(file) === within
      ? within
      : resolve(file);
  if (!statSync(found, { throwIfNoEntry: false })?.isFile()) {
    throw failure(
      'NO_DOCKERFILE',
      `unable to evaluate symlinks in Dockerfile path: lstat ${found}: no such file or directory`,
      found,
    );
  }
  const dockerfile = relative(folder, found);
  if (dockerfile.startsWith('..')) return withForeignDockerfile(folder, readFileSync(found));
  return { body: contextTar(folder, dockerfile), dockerfile };
}

/** Stdin is a tar (plain or compressed, told by its first bytes) or the text of a Dockerfile. */
async function stdinContext(stdin: AsyncIterable<Buffer | string>): Promise<BuildContext> {
  const source = stdin[Symbol.asyncIterator]();
  const parts: Buffer[] = [];
  let size = 0;
  while (size < 512) {
    const { value, done } = await source.next();
    if (done === true) break;
    parts.push(Buffer.from(value));
    size += parts.at(-1)?.length ?? 0;
  }
  const head = Buffer.concat(parts);
  const rest: AsyncIterable<Buffer | string> = { [Symbol.asyncIterator]: () => source };
  if (isArchive(head)) {
    const body = Readable.from(joined(head, rest), { objectMode: false });
    return { body, dockerfile: 'Dockerfile' };
  }
  const text = Buffer.concat([head, await readAll(rest)]);
  return { body: fileTar(new Map([['Dockerfile', text]])), dockerfile: 'Dockerfile' };
}

async function* joined(head: Buffer, rest: AsyncIterable<Buffer | string>): AsyncGenerator<Buffer | string> {
  yield head;
  yield* rest;
}

/** Magic numbers of gzip, bzip2, xz and zstd, or `ustar` where a tar has it. */
function isArchive(head: Buffer): boolean {
  const compressed = ['1f8b08', '425a68', 'fd377a585a00', '28b52ffd'];
  const start = head.subarray(0, 6).toString('hex');
  return compressed.some((magic) => start.startsWith(magic)) || head.toString('latin1', 257, 262) === 'ustar';
}
