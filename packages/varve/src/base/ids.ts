/** Two digits for each of so many random bytes. Through the global, which loads node:crypto (8 ms) with the first use. */
export function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString('hex');
}

/** A new object id as Docker makes them: 64 lower-case hex digits, 256 random bits. */
export function randomId(): string {
  for (;;) {
    const id = randomHex(32);
    // An id whose short form is all digits is read as a number by some tools (moby pkg/stringid).
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** The first 12 digits, without a `sha256:` prefix. */
export function shortId(id: string): string {
  return id.slice(id.indexOf(':') + 1).slice(0, 12);
}
