import type { ByteRange } from '../content/index.ts';
import type { Descriptor, Digest } from '../oci/index.ts';

/** Credentials for one registry host, as in Docker's X-Registry-Auth and config.json. */
export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  readonly identityToken?: string;
  readonly registryToken?: string;
}

/** Looks credentials up for a registry host (`127.0.0.1:5000`, `docker.io`); undefined means anonymous. */
export type CredentialLookup = (host: string) => Promise<RegistryCredentials | undefined>;

/** A raw manifest as the registry sent it. */
export interface RawManifest {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

/** One repository of one registry: `remote.repository('127.0.0.1:5000/app')`. */
export interface RemoteRepository {
  /** Host, e.g. `127.0.0.1:5000`. */
  readonly host: string;
  /** Path inside it, e.g. `library/app`. */
  readonly path: string;
  /** @returns undefined when there is none. */
  headManifest(tagOrDigest: string, options?: RequestOptions): Promise<Descriptor | undefined>;
  /** @throws `not-found` MANIFEST_UNKNOWN; `data-loss` when the bytes do not hash to the digest asked for or announced. */
  getManifest(tagOrDigest: string, options?: RequestOptions): Promise<RawManifest>;
  putManifest(tagOrDigest: string, manifest: RawManifest, options?: RequestOptions): Promise<void>;
  hasBlob(digest: Digest, options?: RequestOptions): Promise<boolean>;
  /** A stream of the blob from `range.start`; `offset` tells where the server really began (0 when it ignored the range). */
  getBlob(
    blob: Descriptor,
    options?: RequestOptions & { readonly range?: ByteRange },
  ): Promise<{ readonly offset: number; readonly body: AsyncIterable<Uint8Array> }>;
  /** Tries the cross-repository mount; false means an upload is needed. */
  mountBlob(digest: Digest, from: string, options?: RequestOptions): Promise<boolean>;
  /** Uploads a file of known digest and size, in one PUT; `onProgress` gets the bytes sent so far. */
  putBlob(
    blob: { readonly digest: Digest; readonly size: number },
    open: (start: number) => AsyncIterable<Uint8Array>,
    options?: RequestOptions & { readonly onProgress?: (sent: number) => void },
  ): Promise<void>;
  /** Manifests whose subject is `subject`: of the referrers API, else of its tag of older registries; a thousand at most. */
  listReferrers(subject: Digest, options?: RequestOptions): Promise<readonly Descriptor[]>;
  listTags(options?: RequestOptions): AsyncIterable<string>;
  deleteManifest(digest: Digest, options?: RequestOptions): Promise<void>;
}
