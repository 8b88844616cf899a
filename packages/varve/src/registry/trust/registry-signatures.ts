import type { SignatureSource } from '../../distribution/index.ts';
import { type Descriptor, type Digest, isDigest } from '../../oci/index.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';

const maxReferrers = 1000;

/** The signatures that one repository of this registry has. */
export class RegistrySignatures implements SignatureSource {
  readonly #repository: string;
  readonly #metadata: MetadataStore;
  readonly #storage: RegistryStorage;

  constructor(
    repository: string,
    parts: { readonly metadata: MetadataStore; readonly storage: RegistryStorage },
  ) {
    this.#repository = repository;
    this.#metadata = parts.metadata;
    this.#storage = parts.storage;
  }

  async referrers(subject: Digest): Promise<readonly Descriptor[]> {
    return await this.#metadata.referrers(this.#repository, subject, { limit: maxReferrers });
  }

  async manifest(tagOrDigest: string): Promise<Uint8Array | undefined> {
    const digest = isDigest(tagOrDigest)
      ? tagOrDigest
      : (await this.#metadata.manifestByTag(this.#repository, tagOrDigest))?.digest;
    return digest && (await this.#metadata.manifestContent(this.#repository, digest));
  }

  async blob({ digest }: Descriptor, limit: number): Promise<Uint8Array | undefined> {
    const blob = await this.#metadata.blob(this.#repository, digest);
    if (!blob || blob.size > limit) return undefined;
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.#storage.read(digest)) chunks.push(chunk as Uint8Array);
    return Buffer.concat(chunks);
  }
}
