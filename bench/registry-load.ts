import { connect, type Socket } from 'node:net';
import { processorSeconds } from './registry-target.ts';

/** A request that is sent again and again, and what it must be answered with. */
export interface LoadRequest {
  /** The whole request as it goes over the wire. */
  readonly bytes: Buffer;
  readonly status: number;
  /** HEAD: the length that the answer tells is not sent. */
  readonly headOnly: boolean;
}

/** What a load came to. */
export interface Load {
  readonly requests: number;
  readonly seconds: number;
  /** Processor time of the server, user and system, all threads. */
  readonly serverSeconds: number;
  /** Processor time of this process. */
  readonly clientSeconds: number;
}

// All answers pass through one buffer: each piece is looked at and forgotten before the next is read.
const buffer = Buffer.allocUnsafe(1024 * 1024);
const headEnd = Buffer.from('\r\n\r\n');
const lastChunk = Buffer.from('0\r\n\r\n');
const lengthHeaders = [Buffer.from('\r\nContent-Length: '), Buffer.from('\r\ncontent-length: ')];

/** A read-only request without a body. @param headers whole lines with their ends */
export function loadRequest(method: 'GET' | 'HEAD', path: string, headers = '', status = 200): LoadRequest {
  const bytes = Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: registry\r\n${headers}\r\n`);
  return { bytes, status, headOnly: method === 'HEAD' };
}

/**
 * Sends requests for `milliseconds` over several connections, one at a time on each, in turn from the list. The requests
 * are made before, and of an answer only the status and the length are read, so that the load takes little of the
 * processors that it shares with the server.
 * @throws Error for an answer of another status
 */
export async function load(
  { port, pid }: { readonly port: number; readonly pid: number },
  requests: readonly LoadRequest[],
  { connections, milliseconds }: { readonly connections: number; readonly milliseconds: number },
): Promise<Load> {
  let answered = 0;
  let next = 0;
  let until = Number.POSITIVE_INFINITY;
  const take = (): LoadRequest | undefined => {
    if (performance.now() > until) return undefined;
    const request = requests[next];
    next = (next + 1) % requests.length;
    return request;
  };
  const lines = Array.from({ length: connections }, () => new Line(port, take, () => answered++));
  await Promise.all(lines.map((line) => line.open()));
  const before = processorSeconds(pid);
  const own = process.cpuUsage();
  const startedAt = performance.now();
  until = startedAt + milliseconds;
  await Promise.all(lines.map((line) => line.run()));
  const { user, system } = process.cpuUsage(own);
  return {
    requests: answered,
    seconds: (performance.now() - startedAt) / 1000,
    serverSeconds: processorSeconds(pid) - before,
    clientSeconds: (user + system) / 1e6,
  };
}

/** One connection. */
class Line {
  readonly #socket: Socket;
  readonly #take: () => LoadRequest | undefined;
  readonly #onAnswer: () => void;
  #request: LoadRequest | undefined;
  /** Bytes of the answer's body that are to come; undefined while its head is; -1 when it is chunked. */
  #left: number | undefined;
  /** A head that did not come in one piece. */
  #head: Buffer | undefined;
  #end: (() => void) | undefined;
  #fail: ((error: Error) => void) | undefined;

  constructor(port: number, take: () => LoadRequest | undefined, onAnswer: () => void) {
    this.#take = take;
    this.#onAnswer = onAnswer;
    this.#socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer, callback: (size) => this.#read(buffer.subarray(0, size)) },
    });
    this.#socket.on('error', (error) => this.#fail?.(error));
    this.#socket.on('close', () => this.#fail?.(new Error('connection closed')));
  }

  /** Resolves when it is connected. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.#socket.once('connect', resolve);
    });
  }

  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#end = resolve;
      this.#fail = reject;
      this.#send();
    });
  }

  #send(): void {
    this.#request = this.#take();
    this.#left = undefined;
    if (this.#request) {
      this.#socket.write(this.#request.bytes);
      return;
    }
    this.#fail = undefined;
    this.#socket.destroy();
    this.#end?.();
  }

  #read(piece: Buffer): boolean {
    if (this.#left === undefined) {
      const bytes = this.#head ? Buffer.concat([this.#head, piece]) : piece;
      const end = bytes.indexOf(headEnd);
      if (end < 0) {
        this.#head = Buffer.from(bytes);
        return true;
      }
      this.#head = undefined;
      const status = Number(bytes.toString('latin1', 9, 12));
      if (status !== this.#request?.status) {
        this.#fail?.(new Error(`answered ${status}, not ${this.#request?.status}`));
        this.#socket.destroy();
        return false;
      }
      const length = this.#request.headOnly ? 0 : lengthOf(bytes.subarray(0, end));
      const came = bytes.length - end - headEnd.length;
      this.#left = length < 0 ? -1 : length - came;
    } else if (this.#left > 0) this.#left -= piece.length;
    const isWhole = this.#left < 0 ? piece.subarray(-lastChunk.length).equals(lastChunk) : this.#left === 0;
    if (!isWhole) return true;
    this.#onAnswer();
    this.#send();
    return true;
  }
}

/** -1 for a chunked body. */
function lengthOf(head: Buffer): number {
  for (const name of lengthHeaders) {
    const at = head.indexOf(name);
    if (at >= 0) return Number.parseInt(head.toString('latin1', at + name.length, at + name.length + 16), 10);
  }
  return -1;
}
