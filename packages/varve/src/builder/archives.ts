import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { throwIfAborted, VarveError } from '../base/index.ts';
import { extractTar, TarReader } from '../layer/index.ts';
import { findProgram, spawn } from '../linux/index.ts';
import type { Owner } from './ownership.ts';
import { bytes, type RawPath, text } from './raw-path.ts';

type Bytes = AsyncIterable<Uint8Array>;

/** Enough for one tar header and every magic number. */
const headSize = 512;

/** Compressions that no library here reads; Debian's programs do (xz-utils and bzip2 are essential to dpkg). */
const programs: readonly (readonly [name: string, magic: Buffer])[] = [
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['bzip2', Buffer.from('BZh')],
];

const startsWith = (head: Buffer, magic: Buffer): boolean => head.subarray(0, magic.length).equals(magic);

function programFor(head: Buffer): string | undefined {
  return programs.find(([, magic]) => startsWith(head, magic))?.[0];
}

/** True for the first block of a tar archive that holds something. */
function isTarHead(head: Buffer): boolean {
  if (head.length < headSize || head.every((byte) => byte === 0)) return false;
  try {
    new TarReader({ entry: () => undefined }).feed(head.subarray(0, headSize));
    return true;
  } catch {
    return false;
  }
}

/** The first bytes of a stream, and the whole stream again. */
async function peek(source: Bytes): Promise<{ readonly head: Buffer; readonly all: Bytes }> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Buffer[] = [];
  let length = 0;
  let ended = false;
  while (length < headSize && !ended) {
    const next = await iterator.next();
    if (next.done === true) ended = true;
    else {
      chunks.push(Buffer.from(next.value));
      length += next.value.length;
    }
  }
  const all = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks;
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value;
    } finally {
      await iterator.return?.();
    }
  };
  return { head: Buffer.concat(chunks), all: all() };
}

/** Runs data through a decompressing program. */
async function* throughProgram(name: string, source: Bytes): AsyncGenerator<Uint8Array> {
  const child = spawn(findProgram(name), ['-dc'], { stdio: ['input', 'output', 'null'] });
  const [input, output] = child.pipes;
  if (!input || !output) throw new VarveError('internal', 'NO_PIPE', `${name} was started without pipes`);
  // EPIPE tells that the program has ended; its exit code says why.
  input.on('error', () => undefined);
  const feeder = Readable.from(source);
  const fed = new Promise<unknown>((resolve) => {
    feeder.once('error', resolve);
    feeder.once('close', () => resolve(undefined));
    feeder.pipe(input);
  });
  let whole = false;
  try {
    yield* output as AsyncIterable<Uint8Array>;
    whole = true;
  } finally {
    if (!whole) child.kill(9);
    feeder.destroy();
    output.destroy();
    input.destroy();
    await child.exited;
  }
  const failure = await fed;
  if (failure) throw failure as Error;
  if ((await child.exited).code !== 0) {
    throw new VarveError('invalid', 'COMPRESSION_DAMAGED', `the ${name} data is damaged`);
  }
}

/** True when a regular file is a tar archive, plain or compressed with gzip, zstd, bzip2 or xz; found by its content. */
export async function isArchive(path: RawPath): Promise<boolean> {
  const head = Buffer.alloc(headSize);
  const fd = openSync(bytes(path), 'r');
  let length: number;
  try {
    length = readSync(fd, head, 0, headSize, 0);
  } finally {
    closeSync(fd);
  }
  const start = head.subarray(0, length);
  const program = programFor(start);
  const gzip = startsWith(start, Buffer.from('1f8b', 'hex'));
  const zstd = startsWith(start, Buffer.from('28b52ffd', 'hex'));
  if (program === undefined && !gzip && !zstd) return isTarHead(start);
  const file = createReadStream(bytes(path));
  const plain =
    program === undefined
      ? file.pipe(gzip ? createGunzip() : createZstdDecompress())
      : throughProgram(program, file);
  try {
    const { head: inner, all } = await peek(plain);
    await all[Symbol.asyncIterator]().return?.();
    return isTarHead(inner);
  } catch {
    return false;
  } finally {
    file.destroy();
  }
}

async function unpack(
  source: Bytes,
  target: Parameters<typeof extractTar>[1],
  signal: AbortSignal | undefined,
): Promise<void> {
  const { head, all } = await peek(source);
  const program = programFor(head);
  await extractTar(
    program === undefined ? all : throughProgram(program, all),
    target,
    signal ? { signal } : {},
  );
}

/** Unpacks an archive of ADD into a folder below the image's root; names and links lead nowhere else. */
export async function unpackArchive(
  archive: RawPath,
  root: RawPath,
  folder: RawPath,
  options: { readonly owner: Owner | undefined; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { owner, signal } = options;
  const target = { root: text(root), path: text(folder), ...(owner === undefined ? {} : { owner }) };
  await unpack(createReadStream(bytes(archive)), target, signal);
}

/** A Dockerfile sent alone is text of at most this size. */
const dockerfileLimit = 4 << 20;

/**
 * Unpacks a build context as a client sends it: a tar, plain or compressed with gzip, zstd, bzip2 or xz. A body that is
 * no archive is taken as the Dockerfile itself.
 * @param folder existing and empty; on failure the caller removes it.
 * @returns what the body was.
 * @throws VarveError `invalid` for a broken archive, `too-large`, `cancelled`.
 */
export async function unpackContext(
  body: Bytes,
  folder: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<'archive' | 'dockerfile'> {
  throwIfAborted(options.signal);
  const { head, all } = await peek(body);
  if (looksLikeArchive(head)) {
    await unpack(all, { root: folder }, options.signal);
    return 'archive';
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of all) {
    throwIfAborted(options.signal);
    size += chunk.length;
    if (size > dockerfileLimit) {
      throw new VarveError(
        'too-large',
        'DOCKERFILE_TOO_LARGE',
        'the body is no archive and too large for a Dockerfile',
      );
    }
    chunks.push(chunk);
  }
  await writeFile(joinPath(folder, 'Dockerfile'), Buffer.concat(chunks));
  return 'dockerfile';
}

/** An empty archive is two zero blocks; no text holds a zero byte. */
function looksLikeArchive(head: Buffer): boolean {
  return head.includes(0) || programFor(head) !== undefined || isTarHead(head);
}
