import { errno, result } from './errno.ts';
import { declare, systemError } from './libc.ts';

const pollCall = declare<(fds: Buffer, count: number, timeout: number) => number>(
  'int poll(void *fds, unsigned long count, int timeout)',
);
const entryBytes = 8;
const readable = 1; // POLLIN

/** Waits in this thread for one of several descriptors to have something to read, or to have ended. poll(2) */
export class Poller {
  #entries = Buffer.alloc(0);

  add(fd: number): void {
    // struct pollfd: fd, events, revents.
    const entry = Buffer.alloc(entryBytes);
    entry.writeInt32LE(fd, 0);
    entry.writeInt16LE(readable, 4);
    this.#entries = Buffer.concat([this.#entries, entry]);
  }

  remove(fd: number): void {
    for (let at = 0; at < this.#entries.length; at += entryBytes) {
      if (this.#entries.readInt32LE(at) !== fd) continue;
      this.#entries = Buffer.concat([this.#entries.subarray(0, at), this.#entries.subarray(at + entryBytes)]);
      return;
    }
  }

  /** The descriptors that are ready; waits for as long as none is. */
  wait(): number[] {
    for (;;) {
      const count = result(pollCall(this.#entries, this.#entries.length / entryBytes, -1));
      if (count === -errno.EINTR) continue;
      if (count < 0) throw systemError('poll', 'descriptors', -count);
      const ready: number[] = [];
      for (let at = 0; at < this.#entries.length; at += entryBytes) {
        if (this.#entries.readInt16LE(at + 6) !== 0) ready.push(this.#entries.readInt32LE(at));
      }
      return ready;
    }
  }
}
