import type { IncomingMessage } from 'node:http';
import { EngineError } from './errors.ts';

/** Lines of JSON, as pulls, builds and events give them. @throws EngineError at a line that carries an `error`. */
export async function* jsonLines<T>(message: IncomingMessage, call: string): AsyncGenerator<T, void, void> {
  let rest = '';
  const decoder = new TextDecoder();
  const parse = (line: string): T => {
    const value = JSON.parse(line) as T & { error?: string; errorDetail?: { message?: string } };
    const failure =
      value?.errorDetail?.message ?? (typeof value?.error === 'string' ? value.error : undefined);
    if (failure !== undefined) throw new EngineError(500, failure, call);
    return value;
  };
  for await (const chunk of message) {
    rest += decoder.decode(chunk as Buffer, { stream: true });
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end).trim();
      rest = rest.slice(end + 1);
      if (line !== '') yield parse(line);
    }
  }
  if (rest.trim() !== '') yield parse(rest);
}

/** A piece of a container's output; `stream` 1 is stdout, 2 stderr, 3 an error of the engine. */
export interface OutputChunk {
  readonly stream: 1 | 2 | 3;
  readonly data: Buffer;
}

/**
 * Takes Docker's multiplexed stream apart: frames of [stream, 0, 0, 0, length as uint32 big-endian] and payload
 * (moby pkg/stdcopy). With a terminal there are no frames: pass `raw`.
 */
export async function* outputChunks(
  source: AsyncIterable<Buffer | string>,
  options: { readonly raw: boolean },
): AsyncGenerator<OutputChunk, void, void> {
  let pending: Buffer = Buffer.alloc(0);
  for await (const piece of source) {
    const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece;
    if (options.raw) {
      yield { stream: 1, data: chunk };
      continue;
    }
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    while (pending.length >= 8) {
      const length = pending.readUInt32BE(4);
      if (pending.length < 8 + length) break;
      const kind = pending[0] ?? 1;
      yield { stream: kind === 2 || kind === 3 ? kind : 1, data: pending.subarray(8, 8 + length) };
      pending = pending.subarray(8 + length);
    }
  }
}
