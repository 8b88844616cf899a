import type { StreamSession } from './stream-threads.ts';

/** Bytes of one message: an upload comes in pieces of 32 KiB, and a message costs as much as copying 100 KiB. */
const batchBytes = 512 << 10;
/** Messages on their way: one in work, one waiting for it. */
const inFlight = 2;

/** Bytes on their way to a thread, gathered while it is busy and sent at once when it is not. */
class Batches {
  readonly #session: StreamSession;
  readonly #onFailure: (error: unknown) => void;
  /** Memory that came back. */
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #batch: Uint8Array<ArrayBuffer> = new Uint8Array(batchBytes);
  #filled = 0;
  #pending = 0;
  #failed = false;
  #wake = Promise.withResolvers<void>();

  constructor(session: StreamSession, onFailure: (error: unknown) => void) {
    this.#session = session;
    this.#onFailure = onFailure;
  }

  /** @returns false once the thread has failed. */
  async add(data: Uint8Array): Promise<boolean> {
    for (let at = 0; at < data.length && !this.#failed; ) {
      const piece = data.subarray(at, at + batchBytes - this.#filled);
      this.#batch.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
      while (this.#filled === batchBytes && this.#pending >= inFlight) await this.#reply();
      if (this.#filled === batchBytes || this.#pending === 0) this.#send();
    }
    return !this.#failed;
  }

  /** Resolves when the thread has worked everything off. */
  async finish(): Promise<void> {
    while (this.#pending > 0) await this.#reply();
  }

  async #reply(): Promise<void> {
    await this.#wake.promise;
    this.#wake = Promise.withResolvers();
  }

  #send(): void {
    if (this.#filled === 0) return;
    const data = this.#batch.subarray(0, this.#filled);
    this.#batch = this.#spare.pop() ?? new Uint8Array(batchBytes);
    this.#filled = 0;
    this.#pending++;
    this.#session.chunk(data).then(
      (memory) => {
        if (memory) this.#spare.push(memory);
        this.#done();
      },
      (error: unknown) => {
        this.#failed = true;
        this.#onFailure(error);
        this.#done();
      },
    );
  }

  #done(): void {
    this.#pending--;
    // The source may let wait for long: what it gave so far must not.
    if (this.#pending === 0 && !this.#failed) this.#send();
    this.#wake.resolve();
  }
}

/**
 * Gives a stream to a thread, with back-pressure, and resolves when the thread has worked it off.
 * @param onFailure told what the thread throws, at once, though the source may be silent; the stream is then left.
 * @throws what the source throws.
 */
export async function feed(
  bytes: AsyncIterator<Uint8Array>,
  session: StreamSession,
  onFailure: (error: unknown) => void,
): Promise<void> {
  const batches = new Batches(session, onFailure);
  for (let next = await bytes.next(); next.done !== true; next = await bytes.next()) {
    if (!(await batches.add(next.value))) return;
  }
  await batches.finish();
}
