import { Readable } from 'node:stream';
import { throwIfAborted, VarveError } from '../base/index.ts';
import { defaultLimits, type LayerLimits } from './limits.ts';
import { cleanPath } from './names.ts';
import type { Compression } from './types.ts';
import type { SessionStart } from './worker/stream-protocol.ts';
import { StreamSession } from './worker/stream-threads.ts';

/** Where and how an archive is unpacked. */
export interface ExtractTarget {
  /** An existing folder that nothing leaves. */
  readonly root: string;
  /** Folder inside it under which all names go (`docker cp`); links are resolved inside the root. Made when missing. */
  readonly path?: string;
  /** A folder replaces no file and a file no folder. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Owner of everything instead of the archive's. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Reads the archive as a layer; `.wh.` names are ordinary ones unless given. */
  readonly whiteouts?: 'overlay' | 'apply';
  readonly compression?: Compression | 'auto';
}

export interface ExtractTarOptions {
  readonly signal?: AbortSignal;
  readonly limits?: Partial<LayerLimits>;
}

/** Bytes on their way to the thread: enough to keep it busy, little enough not to matter. */
const windowBytes = 4 << 20;

/**
 * Unpacks a tar archive (plain, gzip or zstd) as it arrives, in a worker thread, with back-pressure. As {@link applyLayer}
 * it leaves the root in no way; the root's own entry (`./`) is passed over, as Docker does.
 * @throws VarveError as applyLayer; what was written by then stays.
 */
export async function extractTar(
  archive: AsyncIterable<Uint8Array>,
  target: ExtractTarget,
  options: ExtractTarOptions = {},
): Promise<{ readonly size: number; readonly entries: number }> {
  const { signal } = options;
  throwIfAborted(signal);
  const session = new StreamSession();
  // Rejects when the caller aborts or the thread fails, even while the archive's next bytes are awaited.
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => undefined);
  const onAbort = (): void => {
    session.close();
    stopped.reject(new VarveError('cancelled', 'CANCELLED', 'the operation was cancelled'));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  const bytes = archive[Symbol.asyncIterator]();
  try {
    await session.start(sessionStart(target, options));
    let window: Promise<unknown>[] = [];
    let sent = 0;
    for (;;) {
      const next = await Promise.race([bytes.next(), stopped.promise]);
      if (next.done) break;
      // A copy: the chunk may share its memory with others.
      const taken = session.chunk(new Uint8Array(next.value));
      taken.catch(stopped.reject);
      window.push(taken);
      sent += next.value.length;
      if (sent < windowBytes) continue;
      await Promise.all(window);
      window = [];
      sent = 0;
    }
    await Promise.all(window);
    return (await session.end()) as { readonly size: number; readonly entries: number };
  } finally {
    signal?.removeEventListener('abort', onAbort);
    session.close();
    // A source that waits for bytes would end only when they come: a stream is destroyed, an iterator not waited for.
    if (archive instanceof Readable) archive.destroy();
    else void bytes.return?.();
  }
}

function sessionStart(target: ExtractTarget, options: ExtractTarOptions): SessionStart {
  return {
    kind: 'extract',
    root: target.root,
    compression: target.compression ?? 'auto',
    limits: { ...defaultLimits, ...options.limits },
    options: {
      whiteouts: target.whiteouts ?? 'none',
      rootEntry: target.whiteouts !== undefined,
      ...(target.noOverwriteDirNonDir === undefined
        ? {}
        : { noOverwriteDirNonDir: target.noOverwriteDirNonDir }),
      ...(target.owner === undefined ? {} : { owner: target.owner }),
      ...(target.path === undefined ? {} : { prefix: cleanPath(Buffer.from(target.path)) }),
    },
  };
}
