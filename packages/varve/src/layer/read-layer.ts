import { createReadStream } from 'node:fs';
import { throwIfAborted } from '../base/index.ts';
import { createDigester, type DiffID } from '../oci/index.ts';
import { detectCompression } from './compress/detect.ts';
import { createInflater, type Inflater } from './compress/inflate.ts';
import { loadFastGzip } from './fast-gzip.ts';
import { checkExpansion, defaultLimits, type LayerLimits } from './limits.ts';
import { cleanPath, joinPath, splitPath } from './names.ts';
import type { TarEntry } from './tar/entry.ts';
import { type TarHandler, TarReader } from './tar/reader.ts';
import type { Compression, LayerSource } from './types.ts';
import { isMetadataPath, readLayerName } from './whiteouts.ts';

/** A layer's bytes: a file, or a stream of a download. */
export type ReadSource =
  | LayerSource
  | { readonly stream: AsyncIterable<Uint8Array>; readonly compression: Compression | 'auto' };

export interface ReadOptions {
  readonly signal?: AbortSignal;
  readonly limits?: Partial<LayerLimits>;
}

export interface ScanResult {
  readonly diffId: DiffID;
  readonly tarSize: number;
  readonly entries: number;
}

async function* inputs(source: ReadSource): AsyncGenerator<Buffer, void, void> {
  const stream =
    'path' in source ? createReadStream(source.path, { highWaterMark: 256 << 10 }) : source.stream;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  }
}

/** The plain tar's bytes; each piece must be used before the next is asked for. */
async function* plainBytes(
  source: ReadSource,
  options: ReadOptions,
): AsyncGenerator<readonly Buffer[], void, void> {
  const limits = { ...defaultLimits, ...options.limits };
  const fast = await loadFastGzip();
  let inflater: Inflater | undefined;
  let head: Buffer = Buffer.alloc(0);
  let [input, output] = [0, 0];
  // The inflater's buffer is used again for its next output.
  const inflate = (chunk: Buffer, into: Inflater): Buffer[] => {
    const pieces: Buffer[] = [];
    into.push(chunk, (piece) => {
      output += piece.length;
      checkExpansion(input, output, limits);
      pieces.push(Buffer.from(piece));
    });
    return pieces;
  };
  try {
    for await (const chunk of inputs(source)) {
      throwIfAborted(options.signal);
      input += chunk.length;
      let data = chunk;
      if (!inflater) {
        data = head = Buffer.concat([head, chunk]);
        if (head.length < 6) continue;
        inflater = open(source, head);
      }
      yield inflate(data, inflater);
    }
    if (!inflater) {
      inflater = open(source, head);
      yield inflate(head, inflater);
    }
    inflater.finish();
  } finally {
    inflater?.close();
  }

  function open({ compression }: ReadSource, start: Buffer): Inflater {
    return createInflater(compression === 'auto' ? detectCompression(start) : compression, fast);
  }
}

/**
 * Reads a layer from start to end without unpacking it: no root rights, no native code needed. The visitor's functions
 * are called in the archive's order; `data` gives file content for those who hash or print it.
 * @throws VarveError `invalid` for a broken archive, `cancelled`.
 */
export async function scanLayer(
  source: ReadSource,
  visitor: TarHandler,
  options: ReadOptions = {},
): Promise<ScanResult> {
  const digester = createDigester();
  const reader = new TarReader(visitor, {
    maxEntries: options.limits?.maxEntries ?? defaultLimits.maxEntries,
  });
  let tarSize = 0;
  for await (const pieces of plainBytes(source, options)) {
    for (const piece of pieces) {
      tarSize += piece.length;
      digester.update(piece);
      reader.feed(piece);
    }
  }
  reader.finish();
  return { diffId: digester.digest(), tarSize, entries: reader.entries };
}

/** An entry of a layer and what it means there. */
export interface LayerEntry {
  /**
   * `whiteout`: {@link LayerEntry.path} is deleted from the layers below. `opaque`: nothing of them shows in that folder.
   */
  readonly kind: 'entry' | 'whiteout' | 'opaque';
  /** Absolute, without a trailing slash; `/` is the root. Bytes that are no UTF-8 show as U+FFFD; `entry.name` has them. */
  readonly path: string;
  readonly entry: TarEntry;
}

function text(path: string): string {
  return `/${Buffer.from(path, 'latin1').toString()}`;
}

/** Reads an entry's name as a layer's; undefined for what AUFS left. @throws VarveError TAR_BAD_WHITEOUT. */
export function readLayerEntry(entry: TarEntry): LayerEntry | undefined {
  const path = cleanPath(entry.name);
  if (path === '') return { kind: 'entry', path: '/', entry };
  const { parent, base } = splitPath(path);
  if (isMetadataPath(parent)) return undefined;
  const name = readLayerName(base, path);
  switch (name.kind) {
    case 'metadata':
      return undefined;
    case 'opaque':
      return { kind: 'opaque', path: text(parent), entry };
    case 'whiteout':
      return { kind: 'whiteout', path: text(joinPath(parent, name.name)), entry };
    case 'entry':
      return { kind: 'entry', path: text(path), entry };
  }
}

/** The entries of a layer in order, as they are read. Content is passed over; see {@link scanLayer} for it. */
export async function* readLayer(
  source: ReadSource,
  options: ReadOptions = {},
): AsyncGenerator<LayerEntry, void, void> {
  let batch: TarEntry[] = [];
  const reader = new TarReader(
    { entry: (entry) => void batch.push(entry) },
    { maxEntries: options.limits?.maxEntries ?? defaultLimits.maxEntries },
  );
  for await (const pieces of plainBytes(source, options)) {
    for (const piece of pieces) reader.feed(piece);
    const ready = batch;
    batch = [];
    for (const entry of ready) {
      const read = readLayerEntry(entry);
      if (read) yield read;
    }
  }
  reader.finish();
}
