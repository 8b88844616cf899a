import { isKind, throwIfAborted, VarveError } from '../base/index.ts';
import type { ContentStore, Ingest } from '../content/index.ts';
import type { Descriptor } from '../oci/index.ts';
import { defaultRetry, isInterruption, isTransient, pause, type RetryPolicy, retryDelay } from './retry.ts';
import type { RemoteRepository } from './types.ts';

export interface DownloadOptions {
  readonly signal?: AbortSignal;
  /** Bytes of the blob that are here. */
  readonly onProgress?: (bytes: number) => void;
  /** Called before a wait, with its seconds. */
  readonly onRetry?: (seconds: number) => void;
  readonly retry?: Partial<RetryPolicy>;
}

/** Tries in all, however little each brings. */
const tryLimit = 200;

/**
 * Brings a blob into the content store, unless it is there: goes on where an earlier try (of this process or of one
 * that died) stopped, verifies, and tries again after cuts. Of several callers one downloads, the others wait for it.
 * @throws VarveError `data-loss` when the registry keeps sending other bytes; `cancelled` keeps what came.
 */
export async function downloadBlob(
  repository: RemoteRepository,
  descriptor: Descriptor,
  store: ContentStore,
  options: DownloadOptions = {},
): Promise<void> {
  const policy = { ...defaultRetry, ...options.retry };
  const { signal } = options;
  let attempt = 1;
  let begun = false;
  for (let tries = 1; store.stat(descriptor.digest) === undefined; tries++) {
    throwIfAborted(signal);
    const ingest = await store.ingest(descriptor.digest, descriptor, signal === undefined ? {} : { signal });
    const before = ingest.offset;
    try {
      if (store.stat(descriptor.digest) !== undefined) return await ingest.abort();
      await fetchRest(repository, descriptor, ingest, options);
      return;
    } catch (error) {
      const gained = ingest.offset > before;
      // Bytes that are known to be wrong are no use to a later try.
      await (isKind(error, 'data-loss') ? ingest.abort() : ingest.close());
      throwIfAborted(signal);
      begun ||= gained;
      if (!(canRepeat(error, before) || (begun && isInterruption(error)))) throw error;
      attempt = gained && isTransient(error) ? 1 : attempt + 1;
      if (attempt > policy.attempts || tries >= tryLimit) throw error;
      const wait = retryDelay(policy, Math.max(attempt, 2), error);
      options.onRetry?.(Math.ceil(wait / 1000));
      await pause(wait, signal);
    }
  }
}

/** Damage is worth a second try when it may stem from the part that was here before. */
function canRepeat(error: unknown, resumedAt: number): boolean {
  if (isTransient(error)) return true;
  return (
    VarveError.is(error) && (error.kind === 'data-loss' || error.code === 'RANGE_INVALID') && resumedAt > 0
  );
}

async function fetchRest(
  repository: RemoteRepository,
  descriptor: Descriptor,
  ingest: Ingest,
  options: DownloadOptions,
): Promise<void> {
  const { signal } = options;
  if (descriptor.data !== undefined) {
    await ingest.truncate();
    await ingest.write(Buffer.from(descriptor.data, 'base64'));
  }
  if (ingest.offset < descriptor.size || descriptor.size === 0) {
    const { offset, body } = await openBlob(repository, descriptor, ingest, signal);
    if (offset !== ingest.offset) await ingest.truncate();
    for await (const chunk of body) {
      throwIfAborted(signal);
      await ingest.write(chunk);
      options.onProgress?.(ingest.offset);
    }
    if (ingest.offset < descriptor.size) {
      throw new VarveError(
        'unavailable',
        'CONNECTION_LOST',
        `${repository.host} ended blob ${descriptor.digest} after ${ingest.offset} of ${descriptor.size} bytes`,
        { subject: descriptor.digest },
      );
    }
  }
  await ingest.commit();
}

async function openBlob(
  repository: RemoteRepository,
  descriptor: Descriptor,
  ingest: Ingest,
  signal: AbortSignal | undefined,
): Promise<{ readonly offset: number; readonly body: AsyncIterable<Uint8Array> }> {
  const request = signal === undefined ? {} : { signal };
  const start = ingest.offset;
  if (start === 0) return await repository.getBlob(descriptor, request);
  try {
    return await repository.getBlob(descriptor, { ...request, range: { start } });
  } catch (error) {
    if (!VarveError.is(error) || error.code !== 'RANGE_INVALID') throw error;
    // A registry that is confused about ranges gets asked for the whole.
    return await repository.getBlob(descriptor, request);
  }
}
