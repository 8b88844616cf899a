import { maxTransfer, sizes } from './protocol.ts';

/** Room for the largest request: a WRITE of {@link maxTransfer} bytes and its headers. */
const requestBytes = maxTransfer + 8192;

/** The request that was read last, over one reused buffer. Offsets count from behind the header. */
export class Request {
  readonly buffer = Buffer.allocUnsafeSlow(requestBytes);
  readonly #view = new DataView(this.buffer.buffer);
  length = 0;

  get opcode(): number {
    return this.#view.getUint32(4, true);
  }
  get unique(): bigint {
    return this.#view.getBigUint64(8, true);
  }
  /** Node the request is about; our own numbers, far below 2^53. */
  get node(): number {
    return this.#wide(16);
  }
  /** Of the caller, for what it makes. */
  get uid(): number {
    return this.#view.getUint32(24, true);
  }
  get gid(): number {
    return this.#view.getUint32(28, true);
  }

  u32(offset: number): number {
    return this.#view.getUint32(sizes.inHeader + offset, true);
  }

  /** A 64-bit number; above 2^53 rounded. */
  u64(offset: number): number {
    return this.#wide(sizes.inHeader + offset);
  }

  /** A signed 64-bit number, as times and offsets of lseek(2) are. */
  i64(offset: number): number {
    return Number(this.#view.getBigInt64(sizes.inHeader + offset, true));
  }

  /** A name that ends with NUL, one character a byte (latin1). */
  name(offset: number): string {
    const start = sizes.inHeader + offset;
    return this.buffer.toString('latin1', start, this.buffer.indexOf(0, start));
  }

  /** Two names, one behind the other. */
  names(offset: number): readonly [string, string] {
    const first = this.name(offset);
    return [first, this.name(offset + first.length + 1)];
  }

  bytes(offset: number, length: number): Buffer {
    const start = sizes.inHeader + offset;
    return this.buffer.subarray(start, start + length);
  }

  #wide(offset: number): number {
    return this.#view.getUint32(offset, true) + this.#view.getUint32(offset + 4, true) * 2 ** 32;
  }
}
