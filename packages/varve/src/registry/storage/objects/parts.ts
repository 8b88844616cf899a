import { isKind, mapLimit, Turns, VarveError } from '../../../base/index.ts';
import { withRetry } from './retry.ts';
import type { ObjectStore, StoredObject } from './types.ts';

/** A part of a multipart upload, as the store wants it back at the end. */
export interface FinishedPart {
  readonly number: number;
  readonly etag: string;
}

/** Multipart uploads as Amazon S3 has them, and after it others. */
export interface PartsApi {
  /** The least that a part other than the last may have. */
  readonly minPartBytes: number;
  /** What one copy of a whole object may have. */
  readonly maxCopyBytes: number;
  copy(source: StoredObject, target: string): Promise<void>;
  begin(target: string): Promise<string>;
  copyPart(upload: PartUpload, number: number, source: StoredObject): Promise<FinishedPart>;
  putPart(upload: PartUpload, number: number, bytes: Uint8Array): Promise<FinishedPart>;
  complete(upload: PartUpload, parts: readonly FinishedPart[]): Promise<void>;
  abort(upload: PartUpload): Promise<void>;
}

export interface PartUpload {
  readonly target: string;
  readonly id: string;
}

// Each is a copy inside the store, or one part of at most two chunks in memory.
const partsAtOnce = 4;

// Of all uploads that end at once: 64 with four parts each in memory would be more than a gibibyte.
const joining = new Turns(4);

/**
 * The parts that sources become: one that is large enough alone, small ones together with what follows until they are.
 * Only the last may be small.
 */
export function planParts(sources: readonly StoredObject[], minPartBytes: number): StoredObject[][] {
  const parts: StoredObject[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const source of sources) {
    const last = parts.at(-1);
    if (last && bytes < minPartBytes) {
      last.push(source);
      bytes += source.size;
    } else {
      parts.push([source]);
      bytes = source.size;
    }
  }
  return parts;
}

/** {@link ObjectStore.assemble} by a multipart upload whose parts the store copies; small ones come here and go back together. */
export async function assembleByParts(
  api: PartsApi,
  store: Pick<ObjectStore, 'read' | 'stat'>,
  sources: readonly StoredObject[],
  target: string,
): Promise<void> {
  const [only] = sources;
  if (only && sources.length === 1 && only.size <= api.maxCopyBytes) return await api.copy(only, target);
  const upload: PartUpload = { target, id: await withRetry(() => api.begin(target)) };
  try {
    const parts = await mapLimit(planParts(sources, api.minPartBytes), partsAtOnce, async (part, index) => {
      const [first] = part;
      if (first && part.length === 1) return await api.copyPart(upload, index + 1, first);
      return await joining.run(async () => api.putPart(upload, index + 1, await readAll(store, part)));
    });
    await completeOnce(api, store, upload, parts, totalBytes(sources));
  } catch (error) {
    // What cannot be aborted now is dropped with the other unfinished ones.
    await api.abort(upload).catch(() => undefined);
    throw error;
  }
}

/** A completion whose answer was lost has happened: the second one finds no upload. */
async function completeOnce(
  api: PartsApi,
  store: Pick<ObjectStore, 'stat'>,
  upload: PartUpload,
  parts: readonly FinishedPart[],
  size: number,
): Promise<void> {
  try {
    await withRetry(() => api.complete(upload, parts));
  } catch (error) {
    if (!isKind(error, 'not-found')) throw error;
    if ((await withRetry(() => store.stat(upload.target)))?.size !== size) throw error;
  }
}

function totalBytes(sources: readonly StoredObject[]): number {
  return sources.reduce((sum, { size }) => sum + size, 0);
}

async function readAll(store: Pick<ObjectStore, 'read'>, sources: readonly StoredObject[]): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(totalBytes(sources));
  let offset = 0;
  for (const { key } of sources) {
    for await (const chunk of await store.read(key)) {
      if (offset + (chunk as Buffer).length <= bytes.length) bytes.set(chunk as Buffer, offset);
      offset += (chunk as Buffer).length;
    }
  }
  if (offset === bytes.length) return bytes;
  throw new VarveError('conflict', 'STORE_CONFLICT', `${sources[0]?.key} is not what it was`);
}
