import { connect, type Socket } from 'node:net';

export interface Reply {
  readonly status: number;
  readonly location: string;
  readonly bodyBytes: number;
}

const lastChunk = Buffer.from('0\r\n\r\n');

/**
 * One HTTP/1.1 connection with one request at a time and as little parsing as it takes, so that the load costs less
 * than the servers under it.
 */
export class Wire {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #head: { status: number; location: string; length: number } | undefined;
  #received = 0;
  #noBody = false;
  #resolve: ((reply: Reply) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#reject?.(error));
    socket.on('close', () => this.#reject?.(new Error('connection closed')));
  }

  static connect(port: number): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new Wire(socket)));
      socket.once('error', reject);
    });
  }

  /** @param headers whole lines with their ends */
  send(method: string, path: string, headers = '', body?: Uint8Array): Promise<Reply> {
    const length = body || method === 'POST' ? `Content-Length: ${body?.length ?? 0}\r\n` : '';
    this.#noBody = method === 'HEAD';
    this.#head = undefined;
    this.#received = 0;
    const reply = new Promise<Reply>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#socket.write(`${method} ${path} HTTP/1.1\r\nHost: registry\r\n${headers}${length}\r\n`);
    if (body) this.#socket.write(body);
    return reply;
  }

  close(): void {
    this.#reject = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#head) this.#received += chunk.length;
    else {
      this.#chunks.push(chunk);
      const text = Buffer.concat(this.#chunks).toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.#chunks = [];
      const head = text.slice(0, end);
      this.#received = text.length - end - 4;
      this.#head = {
        status: Number(head.slice(9, 12)),
        location: /\r\nlocation: ([^\r]*)/i.exec(head)?.[1] ?? '',
        length: this.#noBody ? 0 : Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? -1),
      };
    }
    const { status, location, length } = this.#head;
    // A chunked body, of which only the end counts here.
    if (length < 0 ? !chunk.subarray(-5).equals(lastChunk) : this.#received < length) return;
    this.#resolve?.({ status, location, bodyBytes: this.#received });
  }
}
