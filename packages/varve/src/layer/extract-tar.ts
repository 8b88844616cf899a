import { Readable } from 'node:stream';
import { throwIfAborted, VarveError } from '../base/index.ts';
import { defaultLimits, type LayerLimits } from './limits.ts';
import { cleanPath } from './names.ts';
import type { Compression } from './types.ts';
import { feed } from './worker/feed.ts';
import type { ExtractResult, SessionStart } from './worker/stream-protocol.ts';
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
  /** Hashes the content of files on its way, so that it need not be read again. */
  readonly hashFiles?: boolean;
}

export interface ExtractTarOptions {
  readonly signal?: AbortSignal;
  readonly limits?: Partial<LayerLimits>;
}

/**
 * Unpacks a tar archive (plain, gzip or zstd) as it arrives, in a worker thread, with back-pressure. As {@link applyLayer}
 * it leaves the root in no way; the root's own entry (`./`) is passed over, as Docker does.
 * @throws VarveError as applyLayer; what was written by then stays.
 */
export async function extractTar(
  archive: AsyncIterable<Uint8Array>,
  target: ExtractTarget,
  options: ExtractTarOptions = {},
): Promise<ExtractResult> {
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
    await Promise.race([feed(bytes, session, stopped.reject), stopped.promise]);
    return (await session.end()) as ExtractResult;
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
      ...(target.hashFiles === undefined ? {} : { hashFiles: target.hashFiles }),
      ...(target.noOverwriteDirNonDir === undefined
        ? {}
        : { noOverwriteDirNonDir: target.noOverwriteDirNonDir }),
      ...(target.owner === undefined ? {} : { owner: target.owner }),
      ...(target.path === undefined ? {} : { prefix: cleanPath(Buffer.from(target.path)) }),
    },
  };
}
