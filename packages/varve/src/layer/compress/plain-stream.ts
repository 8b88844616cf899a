import { Readable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { VarveError } from '../../base/index.ts';
import { checkExpansion, defaultLimits, type LayerLimits } from '../limits.ts';

type Bytes = AsyncIterable<Uint8Array>;

/** Enough for one tar header and every magic number. */
const headSize = 512;

/** Compressions that no library here reads; Debian's programs do. */
const programs: readonly (readonly [name: string, magic: Buffer])[] = [
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['bzip2', Buffer.from('BZh')],
];
const gzipMagic = Buffer.from('1f8b', 'hex');
const zstdMagic = Buffer.from('28b52ffd', 'hex');

const startsWith = (head: Buffer, magic: Buffer): boolean => head.subarray(0, magic.length).equals(magic);

/** The first 512 bytes of a stream, fewer when it is shorter, and the whole stream again. */
export async function peek(source: Bytes): Promise<{ readonly head: Buffer; readonly all: Bytes }> {
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

/** Name of the compression that bytes start with: `gzip`, `zstd`, `xz`, `bzip2`; undefined for none of them. */
export function compressionName(head: Buffer): string | undefined {
  if (startsWith(head, gzipMagic)) return 'gzip';
  if (startsWith(head, zstdMagic)) return 'zstd';
  return programs.find(([, magic]) => startsWith(head, magic))?.[0];
}

function damaged(name: string, cause?: unknown): VarveError {
  return new VarveError('invalid', 'COMPRESSION_DAMAGED', `the ${name} data is damaged`, {
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Runs data through a decompressing program. */
async function* throughProgram(name: string, source: Bytes): AsyncGenerator<Uint8Array> {
  // Loaded only here: the rest of this room's stream code needs no FFI.
  const { findProgram, spawn } = await import('../../linux/index.ts');
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
  if ((await child.exited).code !== 0) throw damaged(name);
}

async function* throughZlib(name: 'gzip' | 'zstd', source: Bytes): AsyncGenerator<Uint8Array> {
  const feeder = Readable.from(source);
  const inflate =
    name === 'gzip' ? createGunzip({ chunkSize: 1 << 20 }) : createZstdDecompress({ chunkSize: 1 << 20 });
  let failure: unknown;
  feeder.on('error', (error) => {
    failure = error;
    inflate.destroy();
  });
  feeder.pipe(inflate);
  try {
    yield* inflate as AsyncIterable<Buffer>;
  } catch (error) {
    throw failure ?? damaged(name, error);
  } finally {
    feeder.destroy();
    inflate.destroy();
  }
  if (failure !== undefined) throw failure as Error;
}

/**
 * The plain bytes of a stream that may be compressed with gzip, zstd, xz or bzip2, told by its first bytes. xz and bzip2
 * need their programs.
 * @throws VarveError `COMPRESSION_DAMAGED`, `COMPRESSION_BOMB`; `not-found` without the program.
 */
export async function* plainStream(
  source: Bytes,
  limits: Partial<LayerLimits> = {},
): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(source);
  const name = compressionName(head);
  if (name === undefined) {
    yield* all;
    return;
  }
  const bounds = { ...defaultLimits, ...limits };
  let taken = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of all) {
      taken += chunk.length;
      yield chunk;
    }
  };
  let given = 0;
  const plain =
    name === 'gzip' || name === 'zstd' ? throughZlib(name, counted()) : throughProgram(name, counted());
  for await (const chunk of plain) {
    given += chunk.length;
    checkExpansion(taken, given, bounds);
    yield chunk;
  }
}
