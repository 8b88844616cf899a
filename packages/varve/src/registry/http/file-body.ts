import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { OpenBlob } from '../storage/index.ts';

// A read and a write each cost about as much as 100 KiB of copying: larger pieces gain little, and two of them are held for
// each body that is being sent.
const pieceBytes = 128 * 1024;
// Kept for the next bodies: fresh memory of this size is mapped, cleared and unmapped by the kernel every time, which costs
// more than the copying.
const maxSpare = 16;
const spare: Buffer[] = [];

/**
 * Sends the bytes from `start` to `end` of a blob as (part of) the body, the next piece being read while one is sent;
 * stops early where the blob ends. The head is told before; the response is not ended.
 * @param response whose turn on its connection it is
 * @param onSent told of each piece how long it was
 * @throws Error `ECONNRESET` when the client is gone
 */
export async function sendFile(
  response: ServerResponse,
  blob: OpenBlob,
  { start, end }: { readonly start: number; readonly end: number },
  onSent: (bytes: number) => void,
): Promise<void> {
  const pair = [takeBuffer(), takeBuffer()] as const;
  const bufferOf = (turn: number): Buffer => pair[turn % 2 === 0 ? 0 : 1];
  const read = (turn: number, position: number): Promise<number> => {
    const length = Math.min(pieceBytes, end - position);
    return length === 0 ? none : blob.read(bufferOf(turn).subarray(0, length), position);
  };
  const writer = new PieceWriter(response);
  let reading = read(0, start);
  try {
    let writing: Promise<void> = Promise.resolve();
    for (let turn = 0, position = start; position < end; turn++) {
      const count = await reading;
      await writing;
      if (count === 0) break;
      position += count;
      writing = writer.write(bufferOf(turn).subarray(0, count));
      // Into the buffer whose piece was sent before this one.
      reading = read(turn + 1, position);
      // Looked at a turn later.
      writing.catch(() => undefined);
      reading.catch(() => undefined);
      onSent(count);
    }
    await writing;
    // Only after a good end: of what was being sent when a connection broke, nobody knows when it is let go of.
    if (spare.length < maxSpare) spare.push(...pair);
  } finally {
    writer.release();
    await reading.catch(() => undefined);
  }
}

const none = Promise.resolve(0);

function takeBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
}

/** Writes one piece after the other; node tells of a piece when the kernel has it, but nothing when the connection ends. */
class PieceWriter {
  readonly #response: ServerResponse;
  readonly #socket: Socket | null;
  readonly #onClose = (): void => this.#fail?.(goneError());
  #fail: ((error: Error) => void) | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.#socket = response.socket;
    this.#socket?.once('close', this.#onClose);
  }

  write(piece: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#socket || this.#socket.destroyed) {
        reject(goneError());
        return;
      }
      this.#fail = reject;
      this.#response.write(piece, (error) => {
        if (error) reject(error);
        else resolve();
      });
    });
  }

  release(): void {
    this.#socket?.off('close', this.#onClose);
  }
}

function goneError(): Error {
  return Object.assign(new Error('the client is gone'), { code: 'ECONNRESET' });
}
