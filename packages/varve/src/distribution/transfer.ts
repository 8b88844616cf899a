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
  const { signal } = options;
  const { digest } = descriptor;
  const policy = { ...defaultRetry, ...options.retry };
  for (let starts = 1; store.stat(digest) === undefined; starts++) {
    const ingest = await store.ingest(digest, descriptor, signal === undefined ? {} : { signal });
    const seen = { resumed: ingest.offset > 0 };
    try {
      if (store.stat(digest) !== undefined) return await ingest.abort();
      await fetchAll(repository, descriptor, ingest, options, policy, seen);
      return;
    } catch (error) {
      // Bytes that are known to be wrong are no use to a later try.
      const damaged = isKind(error, 'data-loss');
      await (damaged ? ingest.abort() : ingest.close());
      throwIfAborted(signal);
      // Damage is worth another start when it may stem from joining parts.
      if (!(damaged && seen.resumed) || starts >= policy.attempts) throw error;
    }
  }
}

/** Fetches until all is here; `seen.resumed` tells afterwards whether the blob was put together from parts. */
async function fetchAll(
  repository: RemoteRepository,
  descriptor: Descriptor,
  ingest: Ingest,
  options: DownloadOptions,
  policy: RetryPolicy,
  seen: { resumed: boolean },
): Promise<void> {
  let attempt = 1;
  for (let tries = 1; ; tries++) {
    const before = ingest.offset;
    try {
      await fetchRest(repository, descriptor, ingest, options);
      return;
    } catch (error) {
      throwIfAborted(options.signal);
      const gained = ingest.offset > before;
      if (!(isTransient(error) || (ingest.offset > 0 && isInterruption(error)))) throw error;
      attempt = gained ? 1 : attempt + 1;
      if (attempt > policy.attempts || tries >= tryLimit) throw error;
      const wait = retryDelay(policy, Math.max(attempt, 2), error);
      options.onRetry?.(Math.ceil(wait / 1000));
      await pause(wait, options.signal);
      seen.resumed = ingest.offset > 0;
    }
  }
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
