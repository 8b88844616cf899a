import { throwIfAborted } from '../base/index.ts';
import { defaultLimits, type LayerLimits } from './limits.ts';
import { cleanPath } from './names.ts';
import type { Compression } from './types.ts';
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
  const onAbort = (): void => session.close();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await session.start({
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
    });
    let sent = 0;
    let failed: unknown;
    let pending: Promise<void>[] = [];
    for await (const chunk of archive) {
      throwIfAborted(signal);
      if (failed !== undefined) throw failed;
      // A copy: the chunk may share its memory with others.
      pending.push(
        session.chunk(new Uint8Array(chunk)).then(
          () => undefined,
          (error: unknown) => {
            failed ??= error;
          },
        ),
      );
      sent += chunk.length;
      if (sent >= windowBytes) {
        await Promise.all(pending);
        pending = [];
        sent = 0;
      }
    }
    await Promise.all(pending);
    if (failed !== undefined) throw failed;
    return (await session.end()) as { readonly size: number; readonly entries: number };
  } finally {
    signal?.removeEventListener('abort', onAbort);
    session.close();
  }
}
