import { closeSync, createReadStream, openSync, readSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join as joinPath } from 'node:path';
import { throwIfAborted, VarveError } from '../base/index.ts';
import {
  compressionName,
  type ExtractResult,
  extractTar,
  peek,
  plainStream,
  TarReader,
} from '../layer/index.ts';
import type { Owner } from './ownership.ts';
import { bytes, type RawPath, text } from './raw-path.ts';

type Bytes = AsyncIterable<Uint8Array>;

/** Enough for one tar header and every magic number. */
const headSize = 512;

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
  if (compressionName(start) === undefined) return isTarHead(start);
  const file = createReadStream(bytes(path));
  const plain = plainStream(file);
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
): Promise<ExtractResult> {
  return extractTar(plainStream(source), target, signal ? { signal } : {});
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

/** What the body of a build was, and hashes of its files by `fileIdentity`, made on the way. */
export interface UnpackedContext {
  readonly kind: 'archive' | 'dockerfile';
  readonly hashes: ReadonlyMap<string, string>;
}

/**
 * Unpacks a build context as a client sends it: a tar, plain or compressed with gzip, zstd, bzip2 or xz. A body that is
 * no archive is taken as the Dockerfile itself.
 * @param folder existing and empty; on failure the caller removes it.
 * @throws VarveError `invalid` for a broken archive, `too-large`, `cancelled`.
 */
export async function unpackContext(
  body: Bytes,
  folder: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<UnpackedContext> {
  throwIfAborted(options.signal);
  const { head, all } = await peek(body);
  if (looksLikeArchive(head)) {
    const { hashes } = await unpack(all, { root: folder, hashFiles: true }, options.signal);
    return { kind: 'archive', hashes };
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
  return { kind: 'dockerfile', hashes: new Map() };
}

/** An empty archive is two zero blocks; no text holds a zero byte. */
function looksLikeArchive(head: Buffer): boolean {
  return head.includes(0) || compressionName(head) !== undefined || isTarHead(head);
}
