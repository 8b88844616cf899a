import { Readable } from 'node:stream';
import { throwIfAborted } from '../base/index.ts';
import type { PackOptions } from './pack/tar-chunks.ts';
import type { PackSource } from './pack/tree-items.ts';
import { StreamSession } from './worker/stream-threads.ts';

export interface PackTreeOptions extends PackOptions {
  readonly signal?: AbortSignal;
}

async function* chunks(
  root: string,
  sources: readonly PackSource[],
  { signal, ...options }: PackTreeOptions,
): AsyncGenerator<Buffer, void, void> {
  throwIfAborted(signal);
  const session = new StreamSession();
  const onAbort = (): void => session.close();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    await session.start({ kind: 'pack', root, sources, options });
    // One ahead, so that the thread reads while the last piece is sent.
    let next = session.pull();
    for (;;) {
      const data = await next;
      if (!data) return;
      next = session.pull();
      next.catch(() => undefined);
      yield Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    session.close();
  }
}

/**
 * A tar archive of files and folders of a tree, as a stream (`docker cp`, `docker export`): links are resolved inside the
 * root, no archive holds what lies outside. Destroying the stream stops the reading. Errors: `not-found` for a source
 * that is not there.
 */
export function packTree(
  root: string,
  sources: readonly PackSource[],
  options: PackTreeOptions = {},
): Readable {
  return Readable.from(chunks(root, sources, options), { objectMode: false, highWaterMark: 1 << 20 });
}
