import { readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { isKind, notFound, VarveError } from '../base/index.ts';
import type { ContentStore } from '../content/index.ts';
import type { RegistryClient, TrustPolicy } from '../distribution/index.ts';
import type { LayerBlob } from '../layer/index.ts';
import {
  type ChainID,
  canonicalName,
  canonicalReference,
  type Descriptor,
  type DiffID,
  type Digest,
  digestAlgorithm,
  digestOf,
  familiarReference,
  type ImageConfig,
  parseImageConfig,
  parseReference,
  type Reference,
  withDefaultTag,
} from '../oci/index.ts';
import type { State } from '../state/index.ts';
import type { StorageDriver } from '../storage/index.ts';
import { type CollectOptions, collect } from './collect.ts';
import { createImage, remakeManifest, totalSize } from './create.ts';
import { historyItems, type KnownAncestor } from './history.ts';
import { Hold } from './hold.ts';
import { type ImportOptions, importImage } from './import.ts';
import { loadImages } from './load.ts';
import { Pins } from './pins.ts';
import { digestReference, pullImage } from './pull.ts';
import { pushImage } from './push.ts';
import { rebuildImages } from './rebuild.ts';
import { ImageRecords } from './records.ts';
import { type RemoveOptions, removeImage } from './remove.ts';
import { type SavedImage, saveImages } from './save.ts';
import type {
  CreateImageOptions,
  HistoryItem,
  ImageStore,
  LoadedImage,
  LocalImage,
  NewImage,
  RemovedItem,
  StoredLayer,
  TransferOptions,
} from './types.ts';
import { storedLayers, unpackLayers } from './unpack.ts';

/** Stands for a config whose blob is gone or damaged. */
const lostConfig: ImageConfig = { architecture: '', os: '', rootfs: { type: 'layers', diff_ids: [] } };

/** Parsed configs kept in memory; one is a few kB. */
const configCacheSize = 512;

export interface ImageStoreOptions {
  readonly state: State;
  readonly content: ContentStore;
  readonly driver: StorageDriver;
  readonly client: RegistryClient;
  /** Which images must be signed to be pulled; none when absent. */
  readonly trust?: readonly TrustPolicy[];
}

/** {@link ImageStore} over the local state, content store and storage driver. */
export class LocalImageStore implements ImageStore {
  readonly #records: ImageRecords;
  readonly #content: ContentStore;
  readonly #driver: StorageDriver;
  readonly #client: RegistryClient;
  readonly #trust: readonly TrustPolicy[];
  readonly #configs = new Map<Digest, ImageConfig>();
  readonly #pinnedLayers = new Pins<DiffID>();
  readonly #pinnedSnapshots = new Pins<ChainID>();
  /** Records may not be on disk yet. */
  #behind = false;
  readonly #layerRoots: (() => Iterable<readonly DiffID[]>)[] = [];

  constructor(options: ImageStoreOptions) {
    this.#records = new ImageRecords(options.state);
    this.#content = options.content;
    this.#driver = options.driver;
    this.#client = options.client;
    this.#trust = options.trust ?? [];
  }

  /** Registers stacks of layers that must be kept although no image has them, e.g. the build cache. */
  addLayerRoots(roots: () => Iterable<readonly DiffID[]>): void {
    this.#layerRoots.push(roots);
  }

  list(): readonly LocalImage[] {
    return this.#records.images().map((record) => this.#view(record.id) as LocalImage);
  }

  get(id: Digest): LocalImage | undefined {
    return this.#view(id);
  }

  resolve(nameOrId: string): LocalImage {
    const image = this.#byReference(nameOrId) ?? this.#byId(nameOrId);
    if (image) return image;
    throw notFound('image', shownName(nameOrId));
  }

  tag(id: Digest, reference: string): void {
    const parsed = withDefaultTag(parseReference(reference));
    if (parsed.digest !== undefined) {
      throw new VarveError('invalid', 'TAG_INVALID', 'refusing to create a tag with a digest reference', {
        subject: reference,
      });
    }
    if (!this.#records.image(id)) throw notFound('image', id);
    this.#records.putTag(canonicalReference(parsed), id);
  }

  async remove(nameOrId: string, options: RemoveOptions): Promise<readonly RemovedItem[]> {
    const removed = removeImage(this.#records, this.resolve(nameOrId), nameOrId, options);
    if (removed.some((item) => 'deleted' in item)) await this.collect();
    return removed;
  }

  async prune(options: {
    readonly all?: boolean;
    readonly keep: (image: LocalImage) => boolean;
  }): Promise<{ readonly removed: readonly RemovedItem[]; readonly bytes: number }> {
    const removed: RemovedItem[] = [];
    // Children go before their parents, so that one call frees whole chains.
    for (let again = true; again; ) {
      again = false;
      for (const image of this.list()) {
        const kept =
          (image.tags.length > 0 && options.all !== true) ||
          this.#records.children(image.id).length > 0 ||
          options.keep(image);
        if (kept) continue;
        for (const reference of [...image.tags, ...image.digests]) {
          removed.push({ untagged: familiarReference(parseReference(reference)) });
        }
        this.#records.deleteImage(image.id);
        removed.push({ deleted: image.id });
        again = true;
      }
    }
    return { removed, bytes: await this.collect({ abandoned: true }) };
  }

  layers(image: LocalImage): readonly StoredLayer[] {
    return storedLayers(this.#records, image.config.rootfs.diff_ids);
  }

  blobs(image: LocalImage): readonly Digest[] {
    return this.#records.blobsOf(image.id);
  }

  unreadable(): readonly Digest[] {
    return this.#records.unreadable();
  }

  rebuild(options: { readonly signal?: AbortSignal } = {}): Promise<readonly Digest[]> {
    return rebuildImages(this.#unpackContext(), options.signal);
  }

  remakeManifest(image: LocalImage): Promise<boolean> {
    return remakeManifest(this.#content, image, this.layers(image));
  }

  layer(diffId: DiffID): StoredLayer | undefined {
    return this.#records.layer(diffId);
  }

  async unpack(
    image: LocalImage,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ChainID | undefined> {
    if (image.config === lostConfig) throw damagedConfig(image.id);
    const layers = this.layers(image).map(({ diffId, blob }) => ({ diffId, blob, ready: Promise.resolve() }));
    return await unpackLayers(this.#unpackContext(), layers, options);
  }

  async addLayer(blob: LayerBlob, path: string): Promise<StoredLayer> {
    this.#pinnedLayers.add(blob.diffId);
    using lease = this.#content.lease();
    lease.add(blob.digest);
    await this.#content.adopt(path, { digest: blob.digest, size: blob.blobSize });
    this.#records.putLayer({
      diffId: blob.diffId,
      blob: { mediaType: blob.mediaType, digest: blob.digest, size: blob.blobSize },
      size: blob.size,
      tarSize: blob.tarSize,
    });
    return this.#records.layer(blob.diffId) as StoredLayer;
  }

  async create(
    image: NewImage,
    tags: readonly string[] = [],
    options: CreateImageOptions = {},
  ): Promise<LocalImage> {
    if (options.durable === false) this.#behind = true;
    const id = await createImage(this.#records, this.#content, image, options);
    for (const diffId of image.config.rootfs.diff_ids) this.#pinnedLayers.release(diffId);
    for (const tag of tags) this.tag(id, tag);
    return this.#view(id) as LocalImage;
  }

  flush(): void {
    if (this.#behind) this.#records.flush();
    this.#behind = false;
  }

  history(image: LocalImage): readonly HistoryItem[] {
    const ancestors: KnownAncestor[] = [];
    for (let { parent } = image; parent !== undefined; ) {
      const ancestor = this.#view(parent);
      if (!ancestor) break;
      ancestors.push({
        id: parent,
        historyLength: ancestor.config.history?.length ?? 0,
        tags: ancestor.tags.map(familiar),
      });
      parent = ancestor.parent;
    }
    return historyItems(
      image.id,
      image.config,
      (diffId) => this.#records.layer(diffId),
      ancestors,
      image.tags.map(familiar),
    );
  }

  pull(reference: string, options: TransferOptions = {}): Promise<LocalImage> {
    const parsed = withDefaultTag(parseReference(reference));
    return this.#leavingNothing(() => this.#pull(parsed, options), resumable);
  }

  async #pull(parsed: Reference, options: TransferOptions): Promise<LocalImage> {
    const context = this.#unpackContext();
    using hold = new Hold(context);
    const pulled = await pullImage(
      { ...context, client: this.#client, trust: this.#trust },
      parsed,
      hold,
      options,
    );
    const { manifest, configDescriptor, manifestDescriptor, root } = pulled;
    const id = configDescriptor.digest;
    const unchanged = this.#records.image(id)?.manifest.digest === manifestDescriptor.digest;
    const size = totalSize(storedLayers(this.#records, pulled.config.rootfs.diff_ids));
    this.#records.transaction(() => {
      this.#records.putImage(
        { id, config: configDescriptor, manifest: manifestDescriptor, size, parent: undefined },
        [root, manifestDescriptor, configDescriptor, ...manifest.layers].map((blob) => blob.digest),
      );
      if (parsed.tag !== undefined && parsed.digest === undefined)
        this.#records.putTag(canonicalReference(parsed), id);
      this.#records.putDigest(digestReference(parsed, root), id);
    });
    options.onEvent?.({
      type: 'done',
      reference: familiarReference(parsed),
      digest: root.digest,
      size: root.size,
      image: id,
      unchanged,
    });
    return this.#view(id) as LocalImage;
  }

  async push(reference: string, options: TransferOptions = {}): Promise<Descriptor> {
    const parsed = withDefaultTag(parseReference(reference));
    const image = this.#byReference(reference);
    if (!image) {
      const name = familiarReference({ domain: parsed.domain, path: parsed.path });
      throw new VarveError(
        'not-found',
        'NO_SUCH_IMAGE',
        `An image does not exist locally with the tag: ${name}`,
        {
          subject: reference,
        },
      );
    }
    const context = { records: this.#records, content: this.#content, client: this.#client };
    const descriptor = await pushImage(context, image, parsed, options);
    this.#records.putDigest(digestReference(parsed, descriptor), image.id);
    options.onEvent?.({
      type: 'done',
      reference: familiarReference(parsed),
      digest: descriptor.digest,
      size: descriptor.size,
      image: image.id,
    });
    return descriptor;
  }

  async load(
    archive: Readable,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly LoadedImage[]> {
    const loaded = await this.#leavingNothing(async () => {
      const context = this.#unpackContext();
      using hold = new Hold(context);
      return await loadImages(context, hold, archive, options);
    });
    // The archive's own documents and uncompressed layers.
    await this.collect();
    return loaded.map(({ id, reference }) => ({ image: this.#view(id) as LocalImage, reference }));
  }

  save(names: readonly string[]): Readable {
    const images = new Map<Digest, { image: LocalImage; references: string[] }>();
    for (const name of names) {
      const named = this.#byReference(name);
      const image = named ?? this.resolve(name);
      const entry: SavedImage & { references: string[] } = images.get(image.id) ?? { image, references: [] };
      images.set(image.id, entry);
      const parsed = named ? parseReference(name) : undefined;
      if (!parsed || parsed.digest !== undefined) continue;
      // A bare repository name stands for all its tags (docker save).
      const wanted = parsed.tag === undefined && !named ? [] : [canonicalReference(withDefaultTag(parsed))];
      for (const reference of wanted)
        if (!entry.references.includes(reference)) entry.references.push(reference);
    }
    return saveImages(this.#content, [...images.values()]);
  }

  async import(archive: Readable, options: ImportOptions): Promise<LocalImage> {
    const id = await this.#leavingNothing(async () => {
      const context = this.#unpackContext();
      using hold = new Hold(context);
      const made = await importImage(context, hold, archive, options);
      if (options.reference !== undefined) this.tag(made, options.reference);
      return made;
    });
    // The tar as it came.
    await this.collect();
    return this.#view(id) as LocalImage;
  }

  collect(options: CollectOptions = {}): Promise<number> {
    return collect(
      { ...this.#unpackContext(), layerRoots: this.#layerRoots, config: (id) => this.#config(id) },
      options,
    );
  }

  /** What came of refused input goes at once. @param resumable tells failures after which another try goes on. */
  async #leavingNothing<T>(
    work: () => Promise<T>,
    resumable: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!resumable(error)) await this.collect({ abandoned: true });
      throw error;
    }
  }

  #unpackContext() {
    return {
      records: this.#records,
      content: this.#content,
      driver: this.#driver,
      pinnedLayers: this.#pinnedLayers,
      pinnedSnapshots: this.#pinnedSnapshots,
    };
  }

  #view(id: Digest): LocalImage | undefined {
    const record = this.#records.image(id);
    if (!record) return undefined;
    return {
      id,
      config: this.#configOrLost(id),
      configDescriptor: record.config,
      manifest: record.manifest,
      size: record.size,
      tags: this.#records.tags(id),
      digests: this.#records.digests(id),
      storedAt: record.storedAt,
      lastTaggedAt: record.lastTaggedAt,
      parent: record.parent,
    };
  }

  /** An image whose config is damaged is still listed, so that it can be pulled again or removed. */
  #configOrLost(id: Digest): ImageConfig {
    try {
      return this.#config(id);
    } catch (error) {
      if (!VarveError.is(error)) throw error;
      // Reading it makes the content store see the damage: it then takes the bytes again from who brings them.
      this.#content.read(id).catch(() => undefined);
      return lostConfig;
    }
  }

  #config(id: Digest): ImageConfig {
    let config = this.#configs.get(id);
    if (!config) {
      config = parseImageConfig(readBlob(this.#content.path(id), id));
      this.#configs.set(id, config);
      if (this.#configs.size > configCacheSize)
        this.#configs.delete(this.#configs.keys().next().value as Digest);
    }
    return config;
  }

  #byReference(text: string): LocalImage | undefined {
    let reference: ReturnType<typeof parseReference>;
    try {
      reference = parseReference(text);
    } catch {
      return undefined;
    }
    const name = canonicalName(reference);
    const id =
      reference.digest === undefined
        ? this.#records.tagged(`${name}:${reference.tag ?? 'latest'}`)
        : this.#records.byDigest(`${name}@${reference.digest}`);
    return id === undefined ? undefined : this.#view(id);
  }

  #byId(text: string): LocalImage | undefined {
    const hex = text.replace(/^sha256:/, '');
    if (!/^[0-9a-f]{1,64}$/.test(hex)) return undefined;
    const [id, second] = this.#records.idsWithPrefix(hex);
    if (second !== undefined) {
      throw new VarveError('invalid', 'AMBIGUOUS_ID', `ambiguous image id prefix: ${text}`, {
        subject: text,
      });
    }
    return id === undefined ? undefined : this.#view(id);
  }
}

function damagedConfig(id: Digest): VarveError {
  return new VarveError('data-loss', 'CONFIG_DAMAGED', `the configuration of image ${id} is damaged`, {
    subject: id,
    hint: 'pull or load the image again',
  });
}

/** @throws VarveError `data-loss` when the bytes are not what they are named by. */
function readBlob(path: string, id: Digest): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw damagedConfig(id);
    throw VarveError.from(error);
  }
  if (digestOf(bytes, digestAlgorithm(id)) !== id) throw damagedConfig(id);
  return bytes;
}

/** A pull that was cut off goes on where it stopped when it is asked for again. */
function resumable(error: unknown): boolean {
  return (['unavailable', 'cancelled', 'unauthorized', 'exhausted'] as const).some((kind) =>
    isKind(error, kind),
  );
}

function familiar(reference: string): string {
  return familiarReference(parseReference(reference));
}

function shownName(text: string): string {
  try {
    return familiarReference(withDefaultTag(parseReference(text)));
  } catch {
    return text;
  }
}
