import { isKind } from '../../base/index.ts';
import type { Descriptor, Digest } from '../../oci/index.ts';
import type { RemoteRepository, RequestOptions } from '../types.ts';
import type { SignatureSource } from './types.ts';

/** The signatures that a repository of another registry has. */
export class RemoteSignatures implements SignatureSource {
  readonly #repository: RemoteRepository;
  readonly #options: RequestOptions;

  constructor(repository: RemoteRepository, options: RequestOptions = {}) {
    this.#repository = repository;
    this.#options = options;
  }

  referrers(subject: Digest): Promise<readonly Descriptor[]> {
    return this.#repository.listReferrers(subject, this.#options);
  }

  async manifest(tagOrDigest: string): Promise<Uint8Array | undefined> {
    return await orAbsent(async () => (await this.#repository.getManifest(tagOrDigest, this.#options)).bytes);
  }

  async blob(descriptor: Descriptor, limit: number): Promise<Uint8Array | undefined> {
    return await orAbsent(async () => {
      const { body } = await this.#repository.getBlob(descriptor, this.#options);
      const chunks: Uint8Array[] = [];
      let size = 0;
      for await (const chunk of body) {
        size += chunk.length;
        if (size > limit) return undefined;
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    });
  }
}

async function orAbsent<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isKind(error, 'not-found')) return undefined;
    throw error;
  }
}
