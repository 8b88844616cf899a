import { layerError } from './errors.ts';

/** Bounds on what an archive may make of this machine. */
export interface LayerLimits {
  /** Bytes of the uncompressed tar. */
  readonly maxBytes: number;
  /** Uncompressed over compressed bytes, looked at above {@link LayerLimits.ratioFrom}. */
  readonly maxRatio: number;
  readonly ratioFrom: number;
  readonly maxEntries: number;
}

export const defaultLimits: LayerLimits = {
  maxBytes: 2 ** 40,
  // Real layers stay below 20; gzip of zeros reaches 1030. Files full of zeros do exist, so small ones may pass.
  maxRatio: 200,
  ratioFrom: 4 * 2 ** 30,
  // The largest images have a million; each costs a thread about 200 bytes.
  maxEntries: 4_000_000,
};

/** @throws VarveError COMPRESSION_BOMB. */
export function checkExpansion(input: number, output: number, limits: LayerLimits): void {
  if (output > limits.maxBytes) {
    throw layerError('COMPRESSION_BOMB', `the archive unpacks to more than ${limits.maxBytes} bytes`);
  }
  if (output > limits.ratioFrom && output > input * limits.maxRatio) {
    throw layerError(
      'COMPRESSION_BOMB',
      `the archive unpacks to more than ${limits.maxRatio} times its size`,
    );
  }
}
