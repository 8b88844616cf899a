import { throwIfAborted, VarveError } from '../base/index.ts';
import type { Digest } from '../oci/index.ts';
import type { Scope } from './authorizer.ts';
import type { FailureContext } from './failures.ts';
import { isInterruption, pause, type RetryPolicy, retryDelay } from './retry.ts';
import type { RegistrySession } from './session.ts';

/** Milliseconds without a byte taken after which an upload counts as cut. */
const stallLimit = 60_000;
/** Milliseconds a registry may take to hash and store a blob after its last byte. */
const finishLimit = 15 * 60_000;

export interface UploadTarget {
  readonly session: RegistrySession;
  /** `/v2/<path>/blobs/uploads/` */
  readonly uploads: string;
  readonly scopes: readonly Scope[];
  readonly context: FailureContext;
  readonly retry: RetryPolicy;
}

export interface UploadSource {
  readonly digest: Digest;
  readonly size: number;
  /** The blob's bytes from `start`. */
  readonly open: (start: number) => AsyncIterable<Uint8Array>;
  readonly onProgress: (sent: number) => void;
}

/** Aborts a request when its stream does not move. */
class Watchdog implements Disposable {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout | undefined;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Allows so many milliseconds until the next call. */
  feed(limit: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(), limit);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Uploads a blob by POST and one PUT (OCI distribution spec, "POST then PUT"). After a cut it asks the registry how
 * far it came and sends the rest; a registry that does not say gets the blob again.
 * @param location of an upload that is open already.
 * @throws VarveError `data-loss` when the source has not the size it was said to have.
 */
export async function uploadBlob(
  target: UploadTarget,
  source: UploadSource,
  options: { readonly signal?: AbortSignal | undefined; readonly location?: URL | undefined },
): Promise<void> {
  const { retry } = target;
  const { signal } = options;
  let upload: OpenUpload | undefined = options.location && { location: options.location, start: 0 };
  let begun = false;
  let cut = false;
  let best = 0;
  for (let attempt = 1; ; ) {
    try {
      if (cut && upload) upload = await askProgress(target, upload.location, source.size, signal);
      cut = false;
      upload ??= await begin(target, signal);
      begun = true;
      // What moves forward may go on; what does not is given up after a few tries.
      if (upload.start > best) attempt = 1;
      best = Math.max(best, upload.start);
      await put(target, source, upload, signal);
      return;
    } catch (error) {
      throwIfAborted(signal);
      const expired = isGone(error);
      if (!(begun && (expired || isInterruption(error))) || ++attempt > retry.attempts) throw error;
      if (expired) upload = undefined;
      cut = true;
      await pause(retryDelay(retry, attempt, error), signal);
    }
  }
}

/** The registry knows the upload no more, or has another part of it than was thought. */
function isGone(error: unknown): boolean {
  return VarveError.is(error) && (error.data?.['status'] === 404 || error.data?.['status'] === 416);
}

/** An upload at the registry, and how many bytes it has. */
interface OpenUpload {
  readonly location: URL;
  readonly start: number;
}

async function begin(target: UploadTarget, signal: AbortSignal | undefined): Promise<OpenUpload> {
  const { session, scopes, context } = target;
  const answer = await session.request({
    method: 'POST',
    target: target.uploads,
    scopes,
    context,
    signal,
    accept: [202],
    body: new Uint8Array(),
  });
  await answer.discard();
  return { location: session.location(answer), start: 0 };
}

function wrongSize(source: UploadSource, sent: number): VarveError {
  const message = `blob ${source.digest} has ${sent} bytes, not ${source.size}`;
  return new VarveError('data-loss', 'SIZE_MISMATCH', message, { subject: source.digest });
}

async function put(
  target: UploadTarget,
  source: UploadSource,
  upload: OpenUpload,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { location, start } = upload;
  using watchdog = new Watchdog();
  let broken: VarveError | undefined;
  // The HTTP library wraps what a body throws, and throws a broken connection into the body: the source's own errors
  // are noted where they arise, so that the caller sees these and nothing else counts as one.
  async function* noted(): AsyncGenerator<Uint8Array, void, void> {
    const chunks = source.open(start)[Symbol.asyncIterator]();
    let sent = start;
    const next = async (): Promise<IteratorResult<Uint8Array, unknown>> => {
      try {
        const result = await chunks.next();
        if (result.done === true && sent !== source.size) throw wrongSize(source, sent);
        return result;
      } catch (error) {
        broken = VarveError.from(error);
        throw broken;
      }
    };
    try {
      for (let result = await next(); result.done !== true; result = await next()) {
        yield result.value;
        sent += result.value.byteLength;
        source.onProgress(sent);
        watchdog.feed(stallLimit);
      }
    } finally {
      await chunks.return?.();
    }
  }
  async function* body(): AsyncGenerator<Uint8Array, void, void> {
    watchdog.feed(stallLimit);
    yield* noted();
    watchdog.feed(finishLimit);
  }
  const length = source.size - start;
  const signals = signal === undefined ? watchdog.signal : AbortSignal.any([signal, watchdog.signal]);
  try {
    const answer = await target.session.request({
      method: 'PUT',
      target: location,
      query: { digest: source.digest },
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(length),
        ...(start > 0 ? { 'content-range': `${start}-${source.size - 1}` } : {}),
      },
      body: length === 0 ? new Uint8Array() : body,
      scopes: target.scopes,
      context: target.context,
      accept: [201, 202, 204],
      signal: signals,
      retry: false,
    });
    await answer.discard();
  } catch (error) {
    if (broken) throw broken;
    if (watchdog.signal.aborted && !signal?.aborted) {
      throw new VarveError(
        'unavailable',
        'CONNECTION_LOST',
        `${target.session.endpoint.host} takes no more bytes of ${source.digest}`,
        { cause: error },
      );
    }
    throw error;
  }
}

/** How much of an upload the registry has; undefined when it is to be started anew. */
async function askProgress(
  target: UploadTarget,
  location: URL,
  size: number,
  signal: AbortSignal | undefined,
): Promise<OpenUpload | undefined> {
  const { session, scopes, context } = target;
  try {
    const answer = await session.request({
      method: 'GET',
      target: location,
      scopes,
      context,
      signal,
      accept: [204],
    });
    await answer.discard();
    const end = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '')?.[1];
    // `0-0` is sent for nothing and for one byte alike.
    const start = end === undefined || end === '0' ? 0 : Number(end) + 1;
    return start === 0 || start > size ? undefined : { location: session.location(answer), start };
  } catch (error) {
    throwIfAborted(signal);
    if (!VarveError.is(error) || isInterruption(error)) throw error;
    return undefined;
  }
}
