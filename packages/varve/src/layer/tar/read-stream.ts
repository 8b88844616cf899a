import { throwIfAborted } from '../../base/index.ts';
import type { TarEntry } from './entry.ts';
import { TarReader } from './reader.ts';

/** An entry of a streamed archive. `body` is its content as stored; what is not read of it is skipped. */
export interface StreamedEntry extends TarEntry {
  readonly body: AsyncIterable<Buffer>;
}

type Event = { readonly entry: TarEntry } | { readonly data: Buffer } | 'end';

/**
 * Reads an uncompressed tar from a stream, entry by entry, with back-pressure: the next one is read when it is asked for.
 * @throws VarveError of {@link TarReader}, and `cancelled`.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<StreamedEntry, void, void> {
  const events: Event[] = [];
  const reader = new TarReader({
    entry: (entry) => events.push({ entry }),
    data: (slice) => events.push({ data: Buffer.from(slice) }),
    end: () => events.push('end'),
  });
  const chunks = source[Symbol.asyncIterator]();
  let ended = false;
  const next = async (): Promise<Event | undefined> => {
    while (events.length === 0 && !ended) {
      throwIfAborted(options.signal);
      const chunk = await chunks.next();
      if (chunk.done === true) {
        ended = true;
        reader.finish();
      } else reader.feed(Buffer.from(chunk.value.buffer, chunk.value.byteOffset, chunk.value.byteLength));
    }
    return events.shift();
  };
  try {
    for (let event = await next(); event !== undefined; event = await next()) {
      if (event === 'end' || !('entry' in event)) continue;
      let open = true;
      const body = async function* (): AsyncGenerator<Buffer, void, void> {
        while (open) {
          const piece = await next();
          if (piece === undefined || piece === 'end') open = false;
          else if ('data' in piece) yield piece.data;
        }
      };
      yield { ...event.entry, body: body() };
      while (open) {
        const piece = await next();
        if (piece === undefined || piece === 'end') open = false;
      }
    }
  } finally {
    await chunks.return?.();
  }
}
