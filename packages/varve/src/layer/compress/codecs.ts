/** What one step of a codec did; as `linux` gives it for ISA-L. */
export interface CodecStep {
  readonly consumed: number;
  readonly produced: number;
  readonly ended: boolean;
}

/** Inflates gzip members one by one; undefined means damaged. */
export interface GzipInflate {
  step(input: Buffer, output: Buffer): CodecStep | undefined;
  reset(): void;
}

/** Makes one gzip member. */
export interface GzipDeflate {
  step(input: Buffer, last: boolean, output: Buffer): CodecStep;
}

/**
 * A faster gzip than zlib, given by whoever may load native libraries (`linux` has ISA-L); without it Node's is used.
 * Inflating gives the same bytes either way. Deflating does not: the digest of a compressed layer depends on it.
 */
export interface FastGzip {
  readonly inflate: () => GzipInflate;
  readonly deflate: () => GzipDeflate;
}
