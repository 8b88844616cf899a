import { closeSync, openSync, readSync } from 'node:fs';
import { createDigester, type DiffID } from '../../oci/index.ts';
import type { FastGzip } from '../compress/codecs.ts';
import { detectCompression } from '../compress/detect.ts';
import { createInflater } from '../compress/inflate.ts';
import { checkExpansion, type LayerLimits } from '../limits.ts';
import { TarReader } from '../tar/reader.ts';
import type { LayerSource } from '../types.ts';
import { LayerTree } from './layer-tree.ts';
import { type LowerLayer, LowerLayers } from './lower-layers.ts';
import { type OpenQuestions, openQuestions, type Settlement, settleTree } from './settle-tree.ts';
import { writeAt, writeIndex } from './write-index.ts';

/** The two files of a layer at rest, and whether anything can lie below it. */
export interface StoreTarget {
  readonly tar: string;
  readonly index: string;
  readonly bottom: boolean;
}

export interface StoredLayer {
  readonly diffId: DiffID;
  readonly tarSize: number;
  /** Bytes of file content, hard links once. */
  readonly size: number;
  readonly entries: number;
  /** Whether the layer says what the root folder looks like. */
  readonly rootSet: boolean;
  readonly open: OpenQuestions;
}

const inputBytes = 256 << 10;
const nothingOpen: OpenQuestions = { whiteouts: [], folders: [] };

/**
 * Stores a layer as its tar with an EROFS index, in one pass in this thread: read, inflate, hash, parse, write. Nothing of
 * the archive touches a file system under a name of its own.
 */
export function storeLayerSync(
  source: LayerSource,
  target: StoreTarget,
  limits: LayerLimits,
  fast: FastGzip | undefined,
  checkCancelled: () => void,
): StoredLayer {
  const fd = openSync(source.path, 'r');
  const tar = openSync(target.tar, 'wx', 0o600);
  try {
    const input = Buffer.allocUnsafeSlow(inputBytes);
    let length = readSync(fd, input, 0, inputBytes, null);
    const compression =
      source.compression === 'auto' ? detectCompression(input.subarray(0, length)) : source.compression;
    const inflater = createInflater(compression, fast);
    const tree = new LayerTree(target.bottom);
    const reader = new TarReader(tree, { maxEntries: limits.maxEntries });
    const digester = createDigester();
    let [taken, tarSize] = [0, 0];
    try {
      while (length > 0) {
        taken += length;
        inflater.push(input.subarray(0, length), (output) => {
          checkCancelled();
          checkExpansion(taken, tarSize + output.length, limits);
          digester.update(output);
          reader.feed(output);
          writeAt(tar, output, tarSize);
          tarSize += output.length;
        });
        length = readSync(fd, input, 0, inputBytes, null);
      }
      inflater.finish();
    } finally {
      inflater.close();
    }
    reader.finish();
    tree.finish();
    const open = target.bottom ? nothingOpen : openQuestions(tree);
    const diffId = digester.digest();
    writeIndex({ root: tree.root, tar: target.tar, tarBytes: tarSize, uuid: uuidOf(diffId) }, target.index);
    return { diffId, tarSize, size: tree.size, entries: reader.entries, rootSet: tree.rootSet, open };
  } finally {
    closeSync(fd);
    closeSync(tar);
  }
}

/** A layer's tar that is stored already, and has been hashed. */
export interface TarToIndex extends StoreTarget {
  readonly diffId: DiffID;
}

/** Writes the index of a tar that is stored already. */
export function indexTarSync(
  { tar, index, bottom, diffId }: TarToIndex,
  checkCancelled: () => void,
): StoredLayer {
  const { tree, tarSize, entries } = readTree(tar, bottom, checkCancelled);
  const open = bottom ? nothingOpen : openQuestions(tree);
  writeIndex({ root: tree.root, tar, tarBytes: tarSize, uuid: uuidOf(diffId) }, index);
  return { diffId, tarSize, size: tree.size, entries, rootSet: tree.rootSet, open };
}

/** A stored layer whose open questions are to be answered. */
export interface SettleRequest {
  readonly tar: string;
  readonly diffId: DiffID;
  readonly questions: OpenQuestions;
  /** The layers below, topmost first, settled themselves. */
  readonly lowers: readonly LowerLayer[];
  /** Where the new index goes: a new file. */
  readonly output: string;
}

/** Writes another index of a stored tar, with what the layers below say; false when they change nothing. */
export function settleIndexSync(request: SettleRequest, checkCancelled: () => void): boolean {
  const settlement = answer(request);
  if (settlement.idleWhiteouts.length + settlement.folders.length === 0) return false;
  const { tar, diffId, output } = request;
  const { tree, tarSize } = readTree(tar, false, checkCancelled);
  openQuestions(tree);
  settleTree(tree, settlement);
  writeIndex({ root: tree.root, tar, tarBytes: tarSize, uuid: uuidOf(diffId) }, output);
  return true;
}

/** Reads a tar whose limits were kept when it was stored. */
function readTree(
  tar: string,
  bottom: boolean,
  checkCancelled: () => void,
): { readonly tree: LayerTree; readonly tarSize: number; readonly entries: number } {
  const tree = new LayerTree(bottom);
  const reader = new TarReader(tree, { maxEntries: Number.MAX_SAFE_INTEGER });
  const fd = openSync(tar, 'r');
  let tarSize = 0;
  try {
    const input = Buffer.allocUnsafeSlow(1 << 20);
    for (let length = 1; length > 0; tarSize += length) {
      checkCancelled();
      length = readSync(fd, input, 0, input.length, null);
      reader.feed(input.subarray(0, length));
    }
    reader.finish();
    tree.finish();
  } finally {
    closeSync(fd);
  }
  return { tree, tarSize, entries: reader.entries };
}

function answer({ questions, lowers }: SettleRequest): Settlement {
  using below = new LowerLayers(lowers);
  return {
    idleWhiteouts: questions.whiteouts.filter((path) => !below.has(path)),
    folders: questions.folders.map((path) => {
      const attributes = below.folder(path);
      return attributes ? { path, below: attributes } : { path };
    }),
  };
}

function uuidOf(diffId: DiffID): Buffer {
  return Buffer.from(diffId.slice(diffId.indexOf(':') + 1, diffId.indexOf(':') + 33), 'hex');
}
