import type { Socket } from 'node:net';
import { Writable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import type { AttachedStreams } from './types.ts';

/** How much output waits in memory for one reader, and how long it may stand still then. */
export interface AttachLimits {
  readonly bufferBytes: number;
  /** A reader that takes nothing for this long with a full buffer is cut off; undefined lets it hold the writer for good. */
  readonly stallMs: number | undefined;
}

interface Packet {
  readonly stream: 1 | 2;
  readonly data: Buffer;
}

// conmon reads its attach socket into a buffer of this size; the rest of a larger packet would be lost.
const MAX_STDIN_PACKET = 32 * 1024;

// What an object in the queue costs besides its bytes: output may come one byte at a time.
const PACKET_COST = 128;

/** conmon's first byte of a packet: 2 is stdout (and all of a terminal), 3 is stderr. */
const PIPE_STDERR = 3;

/** Writes stdin as packets. An empty packet would be read as the end, so none is sent. */
function inputOf(socket: Socket): Writable {
  const send = (chunk: Buffer, done: (error?: Error | null) => void): void => {
    if (chunk.length === 0) {
      done();
      return;
    }
    socket.write(chunk.subarray(0, MAX_STDIN_PACKET), (error) => {
      if (error) done(error);
      else send(chunk.subarray(MAX_STDIN_PACKET), done);
    });
  };
  return new Writable({
    decodeStrings: true,
    write: (chunk: Buffer, _encoding, done) => {
      send(chunk, done);
    },
    final: (done) => {
      socket.end(() => {
        done();
      });
    },
  });
}

/**
 * One client's view of an attach socket. conmon writes to it with blocking calls: a client that did not read would
 * freeze the container and its log. So packets are taken off at once into a bounded buffer; when it is full the
 * socket is paused for at most `stallMs`, which gives a reader that is merely slower the whole output, and one that
 * stands still is cut off.
 */
export class SocketStreams implements AttachedStreams {
  readonly output: AsyncIterable<Packet>;
  readonly input: Writable | undefined;
  /** Resolves when conmon has sent everything and closed, or the streams were closed here. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #limits: AttachLimits;
  readonly #queue: Packet[] = [];
  #queued = 0;
  #done = false;
  #error: VarveError | undefined;
  #wake: (() => void) | undefined;
  #stall: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: { readonly stdin: boolean; readonly limits: AttachLimits }) {
    this.#socket = socket;
    this.#limits = options.limits;
    this.input = options.stdin ? inputOf(socket) : undefined;
    this.input?.on('error', () => undefined);
    this.output = { [Symbol.asyncIterator]: () => this.#iterate() };
    this.ended = new Promise((resolve) => {
      socket.once('close', resolve);
    });
    socket.on('data', (packet: Buffer) => {
      this.#take(packet);
    });
    socket.on('error', () => undefined);
    // conmon closes both directions at the end; half open serves only our own end of stdin.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => {
      this.#finish();
    });
  }

  close(): void {
    this.#queue.length = 0;
    this.#queued = 0;
    this.#socket.destroy();
    this.#finish();
  }

  #take(packet: Buffer): void {
    if (packet.length <= 1) return;
    this.#queue.push({ stream: packet[0] === PIPE_STDERR ? 2 : 1, data: packet.subarray(1) });
    this.#queued += packet.length + PACKET_COST;
    if (this.#queued >= this.#limits.bufferBytes && !this.#socket.isPaused()) {
      this.#socket.pause();
      this.#armStall();
    }
    this.#wake?.();
  }

  #armStall(): void {
    clearTimeout(this.#stall);
    if (this.#limits.stallMs === undefined) return;
    this.#stall = setTimeout(() => {
      this.#error = new VarveError('exhausted', 'SLOW_READER', 'the reader of the output stood still');
      this.close();
    }, this.#limits.stallMs);
    this.#stall.unref();
  }

  #finish(): void {
    this.#done = true;
    clearTimeout(this.#stall);
    this.input?.destroy();
    this.#wake?.();
  }

  async *#iterate(): AsyncGenerator<Packet, void, void> {
    try {
      for (;;) {
        const packet = this.#queue.shift();
        if (packet === undefined) {
          if (this.#done) break;
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#wake = undefined;
          continue;
        }
        this.#queued -= packet.data.length + 1 + PACKET_COST;
        if (this.#socket.isPaused() && !this.#done) {
          if (this.#queued < this.#limits.bufferBytes / 2) {
            clearTimeout(this.#stall);
            this.#socket.resume();
          } else {
            this.#armStall();
          }
        }
        yield packet;
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      this.close();
    }
  }
}
