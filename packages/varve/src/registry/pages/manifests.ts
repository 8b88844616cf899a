import { buffer } from 'node:stream/consumers';
import { VarveError } from '../../base/index.ts';
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type ImageConfig,
  type ManifestDocument,
  mediaTypes,
  parseImageConfig,
  parseManifestDocument,
} from '../../oci/index.ts';
import type { ManifestRecord } from '../metadata/index.ts';
import type { PageSources } from './types.ts';

/** A stored manifest, as far as it can be read. */
export interface ReadManifest extends ManifestRecord {
  /** undefined for what is neither image nor index, or broken. */
  readonly parsed: ManifestDocument | undefined;
  /** Why it is not, as a sentence without full stop. */
  readonly problem: string | undefined;
  /** Bytes of the manifest and all blobs it names; of an index, its own only. */
  readonly totalBytes: number;
}

/** A config, or why there is none to show. */
export type ReadConfig = { readonly config: ImageConfig } | { readonly problem: string };

/** A config of a usual image has some KiB. One that is larger is named, not read. */
const maxConfigBytes = 1024 * 1024;
/** Of manifests, for one page. */
const maxReadBytes = 16 * 1024 * 1024;
const maxPlatforms = 5000;
const platforms = new Map<Digest, string>();

/** The manifests and configs that one page reads: each once, and no more than a bound. */
export class Manifests {
  readonly #sources: PageSources;
  readonly #repository: string;
  readonly #seen = new Map<Digest, ReadManifest | undefined>();
  #left: number;
  #leftBytes = maxReadBytes;

  /** @param limit of manifests and configs that are read; beyond it nothing is found */
  constructor(sources: PageSources, repository: string, limit: number) {
    this.#sources = sources;
    this.#repository = repository;
    this.#left = limit;
  }

  /** Whether the bound is reached: what is not found from here on may be there all the same. */
  get exhausted(): boolean {
    return this.#left <= 0 || this.#leftBytes <= 0;
  }

  /** undefined when it is not here, or the bound is reached. */
  async read(digest: Digest): Promise<ReadManifest | undefined> {
    const known = this.#seen.get(digest);
    if (known || this.exhausted) return known;
    this.#left--;
    const { metadata } = this.#sources;
    const record = await metadata.manifestByDigest(this.#repository, digest);
    this.#leftBytes -= record?.size ?? 0;
    if (this.#leftBytes <= 0) return undefined;
    const bytes = record && (await metadata.manifestContent(this.#repository, digest));
    const found = record && bytes && describe(record, bytes);
    this.#seen.set(digest, found);
    return found;
  }

  /** An image's platform; of an index, those it lists. */
  async platformsOf({ parsed }: ReadManifest): Promise<readonly string[]> {
    if (parsed?.kind === 'index') {
      const listed = parsed.document.manifests.filter(({ platform }) => platform?.os !== 'unknown');
      return [...new Set(listed.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : [])))];
    }
    if (!parsed || !isImageConfig(parsed.document.config)) return [];
    const { digest } = parsed.document.config;
    const known = platforms.get(digest);
    if (known !== undefined) return [known];
    if (this.#left <= 0) return [];
    this.#left--;
    const read = await this.config(parsed.document.config);
    if ('problem' in read) return [];
    const platform = formatPlatform(read.config);
    if (platforms.size >= maxPlatforms) platforms.clear();
    platforms.set(digest, platform);
    return [platform];
  }

  /**
   * Bytes of a manifest and, of an index, of the manifests in it that are here. undefined when the bound was reached.
   */
  async totalBytes(manifest: ReadManifest): Promise<number | undefined> {
    let total = manifest.totalBytes;
    if (manifest.parsed?.kind !== 'index') return total;
    for (const { digest } of manifest.parsed.document.manifests) {
      const child = await this.read(digest);
      if (!child && this.exhausted) return undefined;
      total += child?.totalBytes ?? 0;
    }
    return total;
  }

  async config(descriptor: Descriptor): Promise<ReadConfig> {
    if (!isImageConfig(descriptor)) return { problem: `its config is of type ${descriptor.mediaType}` };
    const { metadata, storage } = this.#sources;
    const blob = await metadata.blob(this.#repository, descriptor.digest);
    if (!blob) return { problem: 'its config is not here' };
    if (blob.size > maxConfigBytes) return { problem: 'its config is too large to be shown' };
    try {
      return { config: parseImageConfig(await buffer(await storage.read(descriptor.digest))) };
    } catch (error) {
      if (VarveError.is(error) && error.code === 'CONFIG_INVALID') return { problem: error.message };
      return { problem: 'its config cannot be read from storage' };
    }
  }
}

function isImageConfig({ mediaType }: Descriptor): boolean {
  return mediaType === mediaTypes.ociConfig || mediaType === mediaTypes.dockerConfig;
}

function describe(record: ManifestRecord, bytes: Uint8Array): ReadManifest {
  try {
    const parsed = parseManifestDocument(bytes, record.mediaType);
    const blobs = new Map<Digest, number>();
    if (parsed.kind === 'manifest') {
      for (const { digest, size } of [parsed.document.config, ...parsed.document.layers]) {
        blobs.set(digest, size);
      }
    }
    const totalBytes = [...blobs.values()].reduce((sum, size) => sum + size, record.size);
    return { ...record, parsed, problem: undefined, totalBytes };
  } catch (error) {
    const { message } = VarveError.from(error);
    return { ...record, parsed: undefined, problem: message, totalBytes: record.size };
  }
}
