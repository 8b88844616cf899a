import { RegistryError } from '../errors.ts';

/** The body of a PATCH or PUT, with what its headers promise. */
export interface UploadBody {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Inclusive both ends, from Content-Range. */
  readonly range?: { readonly start: number; readonly end: number } | undefined;
  /** Bytes to come, where Content-Length says. */
  readonly length?: number | undefined;
  /** Gives a chunk's memory back; called once its bytes are needed no more. Absent where they are not ours to give. */
  readonly release?: ((chunk: Uint8Array) => void) | undefined;
  /** Ends the reading, for a body that is taken over by a newer request. */
  readonly stop: (reason: RegistryError) => void;
}

const contentRange = /^(?:bytes[ =])?(\d{1,16})-(\d{1,16})(?:\/(?:\d+|\*))?$/;

/**
 * Reads Content-Range as the distribution spec writes it (`0-99`), or as HTTP does (`bytes 0-99/*`).
 * @throws RegistryError `RANGE_INVALID` (416) when malformed, `SIZE_INVALID` when Content-Length contradicts it.
 */
export function parseContentRange(
  header: string | undefined,
  contentLength: string | undefined,
): { readonly start: number; readonly end: number } | undefined {
  if (header === undefined) return undefined;
  const match = contentRange.exec(header.trim());
  const range = { start: Number(match?.[1]), end: Number(match?.[2]) };
  if (!match || !(range.start <= range.end) || !Number.isSafeInteger(range.end)) {
    throw new RegistryError('RANGE_INVALID', { detail: { contentRange: header.slice(0, 100) } });
  }
  if (contentLength !== undefined && Number(contentLength) !== range.end - range.start + 1) {
    throw new RegistryError('SIZE_INVALID', {
      detail: { contentRange: header.slice(0, 100), contentLength },
    });
  }
  return range;
}

/** Passes on the bytes of a range of known length, and not one more. @throws RegistryError `SIZE_INVALID` */
export async function* exactly(chunks: AsyncIterable<Uint8Array>, length: number): AsyncIterable<Uint8Array> {
  let left = length;
  for await (const chunk of chunks) {
    if (chunk.length > left) {
      if (left > 0) yield chunk.subarray(0, left);
      throw new RegistryError('SIZE_INVALID', { detail: { expected: length } });
    }
    left -= chunk.length;
    yield chunk;
  }
  if (left > 0)
    throw new RegistryError('SIZE_INVALID', { detail: { expected: length, received: length - left } });
}
