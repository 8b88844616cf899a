import type { Socket } from 'node:net';

/** A message of conmon: `data` is a pid, an exit code or a failure (negative) with the runtime's words. */
export interface SyncMessage {
  readonly data: number;
  readonly message?: string;
}

// A runtime's error text is short; anything larger than this is not conmon speaking.
const MAX_LINE_BYTES = 1024 * 1024;

/** Reads conmon's pipe: one JSON object a line. */
export class SyncPipe {
  readonly #socket: Socket;
  readonly #messages: SyncMessage[] = [];
  readonly #waiters: ((message: SyncMessage | undefined) => void)[] = [];
  #text = '';
  #ended = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      this.#take(chunk);
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#end();
    });
  }

  /** The next message; undefined when conmon has closed the pipe, which it does when it dies. */
  async next(): Promise<SyncMessage | undefined> {
    const message = this.#messages.shift();
    if (message !== undefined || this.#ended) return message;
    return await new Promise((resolve) => this.#waiters.push(resolve));
  }

  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #take(chunk: string): void {
    this.#text += chunk;
    for (let newline = this.#text.indexOf('\n'); newline >= 0; newline = this.#text.indexOf('\n')) {
      const line = this.#text.slice(0, newline);
      this.#text = this.#text.slice(newline + 1);
      try {
        this.#deliver(JSON.parse(line) as SyncMessage);
      } catch {
        this.close();
      }
    }
    if (this.#text.length > MAX_LINE_BYTES) this.close();
  }

  #deliver(message: SyncMessage): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#messages.push(message);
    else waiter(message);
  }

  #end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) waiter(undefined);
  }
}
