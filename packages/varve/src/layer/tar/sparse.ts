import { layerError } from '../errors.ts';
import type { SparseRegion } from './entry.ts';
import { parseNumber } from './numbers.ts';

/** More pieces than this are refused: a map of a million is 20 MB of text. */
const maxRegions = 1 << 20;

/**
 * Checks a sparse map: pieces in order, not overlapping, inside the file, and as many bytes as are stored.
 * @throws VarveError TAR_BAD_SPARSE.
 */
export function checkSparseMap(
  map: readonly SparseRegion[],
  realSize: number,
  storedSize: number,
  name: Buffer,
): void {
  let end = 0;
  let stored = 0;
  for (const { offset, size } of map) {
    if (offset < end || size < 0 || offset + size > realSize) {
      throw layerError('TAR_BAD_SPARSE', 'bad map of a sparse file', name);
    }
    end = offset + size;
    stored += size;
  }
  if (stored !== storedSize)
    throw layerError('TAR_BAD_SPARSE', 'a sparse file’s map does not fit its data', name);
}

/** Pairs of numbers into pieces; empty pieces (GNU tar ends a map with one) are dropped. */
export function regionsOf(numbers: readonly number[]): SparseRegion[] {
  if (numbers.length % 2 !== 0)
    throw layerError('TAR_BAD_SPARSE', 'a sparse file’s map has an odd number of numbers');
  const map: SparseRegion[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    const [offset, size] = [numbers[i] as number, numbers[i + 1] as number];
    if (size !== 0) map.push({ offset, size });
  }
  return map;
}

function sparseNumber(text: string): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) {
    throw layerError('TAR_BAD_SPARSE', 'bad number in a sparse file’s map');
  }
  return value;
}

/** The map of GNU.sparse 0.1: decimal numbers between commas. */
export function parseSparseList(text: string): SparseRegion[] {
  if (text === '') return [];
  const numbers = text.split(',');
  if (numbers.length > 2 * maxRegions) throw layerError('TAR_LIMIT', 'too many pieces in a sparse file');
  return regionsOf(numbers.map(sparseNumber));
}

/**
 * Reads the old GNU form (type `S`): pieces in a header or one of its extension blocks.
 * @returns whether another block of pieces follows.
 */
export function readOldSparse(block: Buffer, offset: number, count: number, into: number[]): boolean {
  for (let i = 0; i < count; i++) {
    const at = offset + 24 * i;
    if (block[at] === 0) break;
    into.push(parseNumber(block, at, 12, 'sparse map'), parseNumber(block, at + 12, 12, 'sparse map'));
  }
  if (into.length > 2 * maxRegions) throw layerError('TAR_LIMIT', 'too many pieces in a sparse file');
  return block[offset + 24 * count] !== 0;
}

/** Collects the map of GNU.sparse 1.0, which stands before the data: a count, then pairs, each on a line. */
export class SparseMapReader {
  readonly #numbers: number[] = [];
  #text = '';
  #expected = -1;

  /** Takes one block of the map. @returns the pieces when it is complete. */
  push(block: Buffer): SparseRegion[] | undefined {
    this.#text += block.toString('latin1');
    for (;;) {
      if (this.#numbers.length === this.#expected) return regionsOf(this.#numbers);
      const newline = this.#text.indexOf('\n');
      if (newline < 0) {
        if (this.#text.length > 1024) throw layerError('TAR_BAD_SPARSE', 'malformed map of a sparse file');
        return undefined;
      }
      const number = sparseNumber(this.#text.slice(0, newline));
      this.#text = this.#text.slice(newline + 1);
      if (this.#expected >= 0) {
        this.#numbers.push(number);
      } else {
        if (number > maxRegions) throw layerError('TAR_LIMIT', 'too many pieces in a sparse file');
        this.#expected = 2 * number;
      }
    }
  }
}
