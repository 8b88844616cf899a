import { type Descriptor, type DiffID, type Digest, isDigest } from '../oci/index.ts';
import type { State } from '../state/index.ts';
import { imageSchema } from './schema.ts';
import type { StoredLayer } from './types.ts';

/** An image's row, without what is derived from blobs. */
export interface ImageRecord {
  readonly id: Digest;
  readonly config: Descriptor;
  readonly manifest: Descriptor;
  readonly size: number;
  readonly storedAt: number;
  readonly lastTaggedAt: number | undefined;
  readonly parent: Digest | undefined;
}

type Row = Record<string, unknown>;

function imageRecord(row: Row): ImageRecord {
  return {
    id: row['id'] as Digest,
    config: JSON.parse(row['config'] as string) as Descriptor,
    manifest: JSON.parse(row['manifest'] as string) as Descriptor,
    size: Number(row['size']),
    storedAt: Number(row['stored_at']),
    lastTaggedAt: row['last_tagged_at'] === null ? undefined : Number(row['last_tagged_at']),
    parent: (row['parent'] as Digest | null) ?? undefined,
  };
}

/** undefined for a torn or garbled row. */
function readRecord(row: Row): ImageRecord | undefined {
  try {
    const record = imageRecord(row);
    return isDigest(record.config.digest) && isDigest(record.manifest.digest) ? record : undefined;
  } catch {
    return undefined;
  }
}

function readDescriptor(text: unknown): Descriptor | undefined {
  try {
    const blob = JSON.parse(String(text)) as Descriptor;
    return isDigest(blob.digest) ? blob : undefined;
  } catch {
    return undefined;
  }
}

/** The rows of the image room: what exists, under which names, made of which blobs. */
export class ImageRecords {
  readonly #state: State;

  constructor(state: State) {
    this.#state = state;
    state.migrate(imageSchema);
  }

  transaction<T>(work: () => T): T {
    return this.#state.transaction(work);
  }

  /** See {@link State.flush}. */
  flush(): void {
    this.#state.flush();
  }

  images(): ImageRecord[] {
    return this.#state
      .prepare('SELECT * FROM image_images ORDER BY stored_at DESC')
      .all()
      .flatMap((row) => readRecord(row) ?? []);
  }

  image(id: Digest): ImageRecord | undefined {
    const row = this.#state.prepare('SELECT * FROM image_images WHERE id = ?').get(id);
    return row === undefined ? undefined : readRecord(row);
  }

  /** Ids of images whose record cannot be read. */
  unreadable(): Digest[] {
    return this.#state
      .prepare('SELECT * FROM image_images')
      .all()
      .filter((row) => readRecord(row) === undefined)
      .map((row) => row['id'] as Digest);
  }

  /** Writes down an image's documents anew; names, age and blobs stay. */
  mend(id: Digest, config: Descriptor, manifest: Descriptor): void {
    this.#state
      .prepare('UPDATE image_images SET config = ?, manifest = ? WHERE id = ?')
      .run(JSON.stringify(config), JSON.stringify(manifest), id);
  }

  /** Ids that start with the hex digits, at most two. */
  idsWithPrefix(hex: string): Digest[] {
    return this.#state
      .prepare('SELECT id FROM image_images WHERE id >= ? AND id < ? LIMIT 2')
      .all(`sha256:${hex}`, `sha256:${hex}g`)
      .map((row) => row['id'] as Digest);
  }

  /**
   * Inserts the image with the blobs it needs; an image that exists keeps its age and gets the newer manifest.
   * @param options.durable false for an image whose loss at a power cut is nobody's; {@link State.flush} brings it to disk.
   */
  putImage(
    image: Omit<ImageRecord, 'storedAt' | 'lastTaggedAt'>,
    blobs: Iterable<Digest>,
    options: { readonly durable?: boolean } = {},
  ): void {
    this.#state.transaction(() => {
      this.#state
        .prepare(
          `INSERT INTO image_images (id, config, manifest, size, stored_at, parent) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET config = excluded.config, manifest = excluded.manifest, parent = coalesce(excluded.parent, parent)`,
        )
        .run(
          image.id,
          JSON.stringify(image.config),
          JSON.stringify(image.manifest),
          image.size,
          Date.now(),
          image.parent ?? null,
        );
      const insert = this.#state.prepare('INSERT OR IGNORE INTO image_blobs (image, digest) VALUES (?, ?)');
      for (const digest of blobs) insert.run(image.id, digest);
    }, options);
  }

  deleteImage(id: Digest): void {
    this.#state.prepare('DELETE FROM image_images WHERE id = ?').run(id);
  }

  children(id: Digest): Digest[] {
    return this.#state
      .prepare('SELECT id FROM image_images WHERE parent = ?')
      .all(id)
      .map((row) => row['id'] as Digest);
  }

  tags(id: Digest): string[] {
    return this.#state
      .prepare('SELECT reference FROM image_tags WHERE image = ? ORDER BY reference')
      .all(id)
      .map((row) => row['reference'] as string);
  }

  tagged(reference: string): Digest | undefined {
    return this.#state.prepare('SELECT image FROM image_tags WHERE reference = ?').get(reference)?.[
      'image'
    ] as Digest | undefined;
  }

  putTag(reference: string, id: Digest): void {
    const known = this.#state.prepare('SELECT image FROM image_tags WHERE reference = ?').get(reference);
    // The same tag again only changes when that was, which may be lost.
    const durable = known?.['image'] !== id;
    const put = (): void => {
      this.#state
        .prepare(
          'INSERT INTO image_tags (reference, image) VALUES (?, ?) ON CONFLICT (reference) DO UPDATE SET image = excluded.image',
        )
        .run(reference, id);
      this.#state.prepare('UPDATE image_images SET last_tagged_at = ? WHERE id = ?').run(Date.now(), id);
    };
    this.#state.transaction(put, { durable });
  }

  deleteTag(reference: string): void {
    this.#state.prepare('DELETE FROM image_tags WHERE reference = ?').run(reference);
  }

  digests(id: Digest): string[] {
    return this.#state
      .prepare('SELECT reference FROM image_digests WHERE image = ? ORDER BY reference')
      .all(id)
      .map((row) => row['reference'] as string);
  }

  byDigest(reference: string): Digest | undefined {
    return this.#state.prepare('SELECT image FROM image_digests WHERE reference = ?').get(reference)?.[
      'image'
    ] as Digest | undefined;
  }

  putDigest(reference: string, id: Digest): void {
    this.#state
      .prepare('INSERT OR IGNORE INTO image_digests (reference, image) VALUES (?, ?)')
      .run(reference, id);
  }

  deleteDigest(reference: string, id: Digest): void {
    this.#state.prepare('DELETE FROM image_digests WHERE reference = ? AND image = ?').run(reference, id);
  }

  layer(diffId: DiffID): StoredLayer | undefined {
    const row = this.#state.prepare('SELECT * FROM image_layers WHERE diff_id = ?').get(diffId);
    const blob = readDescriptor(row?.['blob']);
    if (row === undefined || blob === undefined) return undefined;
    return {
      diffId,
      blob,
      size: Number(row['size']),
      tarSize: Number(row['tar_size']),
    };
  }

  layers(): StoredLayer[] {
    return this.#state
      .prepare('SELECT diff_id FROM image_layers')
      .all()
      .flatMap((row) => this.layer(row['diff_id'] as DiffID) ?? []);
  }

  /** Keeps the blob that is recorded already, if any. Becomes durable with the record of an image that has the layer. */
  putLayer(layer: StoredLayer): void {
    const put = this.#state.prepare(
      'INSERT OR IGNORE INTO image_layers (diff_id, blob, size, tar_size) VALUES (?, ?, ?, ?)',
    );
    const run = () => put.run(layer.diffId, JSON.stringify(layer.blob), layer.size, layer.tarSize);
    this.#state.transaction(run, { durable: false });
  }

  deleteLayer(diffId: DiffID): void {
    this.#state.prepare('DELETE FROM image_layers WHERE diff_id = ?').run(diffId);
  }

  /** Every blob some image needs. */
  blobs(): Set<Digest> {
    return new Set(
      this.#state
        .prepare('SELECT DISTINCT digest FROM image_blobs')
        .all()
        .map((row) => row['digest'] as Digest),
    );
  }

  /** The blobs one image needs. */
  blobsOf(id: Digest): Digest[] {
    return this.#state
      .prepare('SELECT digest FROM image_blobs WHERE image = ?')
      .all(id)
      .map((row) => row['digest'] as Digest);
  }

  /** Repositories known to hold a blob, for cross-repository mounts. */
  origins(digest: Digest): string[] {
    return this.#state
      .prepare('SELECT name FROM image_origins WHERE digest = ?')
      .all(digest)
      .map((row) => row['name'] as string);
  }

  /** Not durable: what is forgotten is uploaded once more. */
  putOrigin(digest: Digest, name: string): void {
    const put = this.#state.prepare('INSERT OR IGNORE INTO image_origins (digest, name) VALUES (?, ?)');
    this.#state.transaction(() => put.run(digest, name), { durable: false });
  }

  deleteOrigins(digest: Digest): void {
    this.#state.prepare('DELETE FROM image_origins WHERE digest = ?').run(digest);
  }
}
