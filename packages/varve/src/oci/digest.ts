import type { Hash } from 'node:crypto';
import { VarveError } from '../base/index.ts';
import type { ChainID, DiffID, Digest } from './types.ts';

const hexLength: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

/** True for a sha256 or sha512 digest in canonical form. */
export function isDigest(text: string): text is Digest {
  const match = /^(sha256|sha512):([0-9a-f]+)$/.exec(text);
  return match !== null && match[2]?.length === hexLength[match[1] as string];
}

/**
 * Checks a digest string. OCI image spec, descriptor.md#digests.
 * @throws VarveError `invalid`, code `DIGEST_INVALID`.
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new VarveError('invalid', 'DIGEST_INVALID', `invalid digest: ${JSON.stringify(text.slice(0, 200))}`, {
    hint: 'a digest is sha256: and 64 lower-case hex digits, or sha512: and 128',
  });
}

/** `sha256` or `sha512`. */
export function digestAlgorithm(digest: Digest): 'sha256' | 'sha512' {
  return digest.slice(0, 6) as 'sha256' | 'sha512';
}

/** The hex part. */
export function digestHex(digest: Digest): string {
  return digest.slice(7);
}

/** A running hash whose {@link Digester.digest} is a {@link Digest}. */
export interface Digester {
  update(data: Uint8Array): void;
  digest(): Digest;
}

/** node:crypto takes 8 ms to load, and most commands hash nothing. */
function createHash(algorithm: 'sha256' | 'sha512'): Hash {
  return process.getBuiltinModule('node:crypto').createHash(algorithm);
}

/** Starts a hash; sha256 unless told otherwise. */
export function createDigester(algorithm: 'sha256' | 'sha512' = 'sha256'): Digester {
  const hash = createHash(algorithm);
  return {
    update: (data) => void hash.update(data),
    digest: () => `${algorithm}:${hash.digest('hex')}` as Digest,
  };
}

/** Digest of bytes held in memory. */
export function digestOf(data: Uint8Array | string, algorithm: 'sha256' | 'sha512' = 'sha256'): Digest {
  return `${algorithm}:${createHash(algorithm).update(data).digest('hex')}` as Digest;
}

/** ChainID of the layer `diffId` on top of `parent`. OCI image spec, config.md#layer-chainid. */
export function chainId(parent: ChainID | undefined, diffId: DiffID): ChainID {
  return parent === undefined ? diffId : digestOf(`${parent} ${diffId}`);
}

/** The ChainID of each layer of a stack, bottom first. */
export function chainIds(diffIds: readonly DiffID[]): ChainID[] {
  const result: ChainID[] = [];
  for (const diffId of diffIds) result.push(chainId(result.at(-1), diffId));
  return result;
}
