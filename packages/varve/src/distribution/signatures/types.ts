import type { KeyObject, X509Certificate } from 'node:crypto';
import type { Descriptor, Digest } from '../../oci/index.ts';

/** Whose signature counts. */
export interface TrustedSigners {
  /** Public keys of cosign signatures. */
  readonly cosign: readonly KeyObject[];
  /** Authorities that Notation's certificates lead to. */
  readonly notation: readonly X509Certificate[];
  /** Public keys of the JWS that Docker's manifests of schema 1 carry. */
  readonly schema1: readonly KeyObject[];
}

/** Where signatures of a repository are found. All of it is as hostile as the image. */
export interface SignatureSource {
  /** Manifests whose subject is `subject`; none where the registry knows no referrers. */
  referrers(subject: Digest): Promise<readonly Descriptor[]>;
  /** A manifest by tag or digest; undefined when there is none. */
  manifest(tagOrDigest: string): Promise<Uint8Array | undefined>;
  /** A blob of at most `limit` bytes; undefined when it is not there or larger. */
  blob(descriptor: Descriptor, limit: number): Promise<Uint8Array | undefined>;
}

/** What a look for signatures found. */
export type TrustVerdict =
  | { readonly trusted: true; readonly by: string }
  /** Why each signature that is there does not count; empty when there is none. */
  | { readonly trusted: false; readonly reasons: readonly string[] };
