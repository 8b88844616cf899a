import { EngineError } from './errors.ts';

/** The longest line of a JSON stream that is taken; a line is an event or a piece of progress. */
const lineLimit = 16 << 20;

function parseLine(line: string, call: string, parse: (line: string) => unknown): unknown {
  let value: unknown;
  try {
    value = parse(line);
  } catch (cause) {
    throw new EngineError(0, `the engine sent a line that is not JSON: ${line.slice(0, 200)}`, call, cause);
  }
  const { error, errorDetail } = (value ?? {}) as {
    error?: unknown;
    errorDetail?: { message?: unknown; code?: unknown };
  };
  const failure = errorDetail?.message ?? error;
  if (typeof failure === 'string') {
    const code = Number(errorDetail?.code ?? 0);
    throw new EngineError(500, failure, call, undefined, code === 0 ? 1 : code);
  }
  return value;
}

/**
 * Lines of JSON, as pulls, builds and events give them; they may be cut anywhere. Leaving the iteration early closes the
 * connection.
 * @throws EngineError at a line that carries an `error`, or is no JSON.
 */
export async function* jsonLines<T>(
  source: AsyncIterable<Buffer | string>,
  call: string,
  parse: (line: string) => unknown = JSON.parse,
): AsyncGenerator<T, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of source) {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    // What was searched already is not searched again: a long line comes in many chunks.
    let from = rest.length;
    rest += text;
    for (let end = rest.indexOf('\n', from); end !== -1; end = rest.indexOf('\n', from)) {
      const line = rest.slice(0, end).trim();
      rest = rest.slice(end + 1);
      from = 0;
      if (line !== '') yield parseLine(line, call, parse) as T;
    }
    if (rest.length > lineLimit) {
      throw new EngineError(0, `the engine sent a line longer than ${lineLimit} characters`, call);
    }
  }
  if (rest.trim() !== '') yield parseLine(rest, call, parse) as T;
}

/** A piece of a container's output; `stream` 1 is stdout, 2 stderr, 3 an error of the engine. */
export interface OutputChunk {
  readonly stream: 1 | 2 | 3;
  readonly data: Buffer;
}

const headerBytes = 8;

/**
 * Takes Docker's multiplexed stream apart: frames of [stream, 0, 0, 0, length as uint32 big-endian] and payload
 * (moby pkg/stdcopy). Pieces are given as they come, a frame may be several: nothing is held back, whatever length a
 * header claims. With a terminal there are no frames: pass `raw`.
 */
export async function* outputChunks(
  source: AsyncIterable<Buffer | string>,
  options: { readonly raw: boolean },
): AsyncGenerator<OutputChunk, void, void> {
  let header: Buffer = Buffer.alloc(0);
  let left = 0;
  let stream: 1 | 2 | 3 = 1;
  for await (const piece of source) {
    let chunk = typeof piece === 'string' ? Buffer.from(piece) : piece;
    if (options.raw) {
      yield { stream: 1, data: chunk };
      continue;
    }
    while (chunk.length > 0) {
      if (left > 0) {
        const data = chunk.subarray(0, left);
        left -= data.length;
        chunk = chunk.subarray(data.length);
        yield { stream, data };
        continue;
      }
      const missing = headerBytes - header.length;
      header = Buffer.concat([header, chunk.subarray(0, missing)]);
      chunk = chunk.subarray(missing);
      if (header.length < headerBytes) break;
      const kind = header[0];
      // 0 is stdin, which engines echo to stdout.
      stream = kind === 2 || kind === 3 ? kind : 1;
      left = header.readUInt32BE(4);
      header = Buffer.alloc(0);
    }
  }
}
