import { VarveError } from '../base/index.ts';

/** Docker's default way out of a terminal: ctrl-p, ctrl-q. */
const defaultKeys = 'ctrl-p,ctrl-q';

/** Bytes of `ctrl-a,x,ctrl-@`. @throws VarveError `invalid` in Docker's words. */
export function parseDetachKeys(text: string): Buffer {
  const codes = (text || defaultKeys).split(',').map((key) => {
    const bad = (): VarveError =>
      new VarveError(
        'invalid',
        'INVALID_DETACH_KEYS',
        `invalid detach keys (${text}): unknown character: '${key}'`,
      );
    if (key.length === 1) return key.charCodeAt(0);
    const match = /^ctrl-([a-z@[\\\]^_])$/i.exec(key);
    if (!match) throw bad();
    return (match[1] as string).toLowerCase() === '@'
      ? 0
      : (match[1] as string).toUpperCase().charCodeAt(0) & 0x1f;
  });
  return Buffer.from(codes);
}

/** Looks for the detach keys in what a user types; they never reach the container. */
export class DetachScanner {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** @returns what to pass on, and whether the keys were all there. */
  scan(data: Buffer): { readonly pass: Buffer; readonly detached: boolean } {
    const out: number[] = [];
    for (const byte of data) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched++;
        if (this.#matched === this.#keys.length) return { pass: Buffer.from(out), detached: true };
        continue;
      }
      // What looked like the keys was not: it goes through, and this byte may begin them again.
      out.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = byte === this.#keys[0] ? 1 : 0;
      if (this.#matched === 0) out.push(byte);
      else if (this.#keys.length === 1) return { pass: Buffer.from(out), detached: true };
    }
    return { pass: Buffer.from(out), detached: false };
  }
}
