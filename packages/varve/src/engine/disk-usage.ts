import { realpathSync } from 'node:fs';
import { relative } from 'node:path';
import type { LocalImage } from '../image/index.ts';
import { type ChainID, chainIds, type Digest, type DiffID } from '../oci/index.ts';
import { type Extent, type SurveyPlan, surveyInBackground } from '../storage/index.ts';
import type { Volume } from '../volume/index.ts';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';

/** What part of the data root something belongs to. */
export type UsagePart =
  | 'layers'
  | 'indexes'
  | 'blobs'
  | 'containers'
  | 'volumes'
  | 'build cache'
  | 'downloads'
  | 'orphans'
  | 'deletions'
  | 'quarantine'
  | 'database'
  | 'folders';

/**
 * What takes how much of the data root: `docker system df`. Bytes are those of the blocks given out, as du(1) counts them, hard
 * links once; all parts together are the total.
 */
export interface DiskUsage {
  readonly totalBytes: number;
  readonly parts: readonly { readonly part: UsagePart; readonly items: number; readonly bytes: number }[];
  /** What some image needs: layers, indexes and blobs. */
  readonly layersBytes: number;
  readonly images: readonly {
    readonly image: LocalImage;
    readonly bytes: number;
    /** What stays when the image is removed: other images or the build cache need it too. */
    readonly sharedBytes: number;
    readonly containers: number;
  }[];
  /** Writable layer, log and files of each. */
  readonly containers: readonly { readonly container: Container; readonly bytes: number }[];
  readonly volumes: readonly { readonly volume: Volume; readonly bytes: number; readonly users: number }[];
  /** Layers and blobs that only the build cache needs, by ChainID, and its own folder. */
  readonly cache: readonly {
    readonly id: string;
    readonly bytes: number;
    readonly kind: 'layer' | 'files';
  }[];
}

const plan: Omit<SurveyPlan, 'places'> = {
  depths: { content: 3, snapshots: 3, layers: 2, containers: 2, volumes: 2, builder: 2, quarantine: 2 },
  parts: ['index.erofs'],
};

type Owner = `image ${string}` | `container ${string}` | `volume ${string}` | 'cache' | `layer ${string}`;

/** Places of the data root, and who needs each. */
class Ledger {
  readonly #root: string;
  readonly #core: EngineCore;
  readonly owners = new Map<string, Set<Owner>>();

  constructor(core: EngineCore) {
    this.#core = core;
    this.#root = realpathSync(core.root);
  }

  blob(owner: Owner, digest: Digest): void {
    this.#own(`content/${digest.replace(':', '/')}`, owner);
  }

  snapshot(owner: Owner, key: string): void {
    const { driver } = this.#core;
    if (!driver.has(key)) return;
    for (const path of driver.paths?.(key) ?? []) {
      const place = relative(this.#root, path);
      this.#own(place, owner);
      for (const part of plan.parts) this.#own(`${place}/${part}`, owner);
    }
  }

  stack(owner: Owner, diffIds: readonly DiffID[]): void {
    for (const chainId of chainIds(diffIds)) this.snapshot(owner, chainId);
  }

  folder(owner: Owner, path: string): void {
    this.#own(path, owner);
  }

  ownersOf(places: readonly string[]): ReadonlySet<Owner> {
    return new Set(places.flatMap((place) => [...(this.owners.get(place) ?? [])]));
  }

  #own(place: string, owner: Owner): void {
    const owners = this.owners.get(place) ?? new Set();
    this.owners.set(place, owners.add(owner));
  }
}

/** Files with the same owners and of the same part. */
interface Piece extends Extent {
  readonly places: readonly string[];
  readonly owners: ReadonlySet<Owner>;
  readonly part: UsagePart;
}

/** Measures the data root. Nothing is held meanwhile: what comes and goes may be missed or counted. */
export async function diskUsage(core: EngineCore): Promise<DiskUsage> {
  const survey = await surveyInBackground(core.root, { ...plan, places: placesOfDriver(core) });
  const ledger = new Ledger(core);
  const images = core.images.list();
  const containers = core.containers.list();
  const volumes = core.volumes.list();
  for (const image of images) {
    const owner: Owner = `image ${image.id}`;
    for (const digest of core.images.blobs(image)) ledger.blob(owner, digest);
    ledger.stack(owner, image.config.rootfs.diff_ids);
  }
  const cached = new Set<ChainID>();
  for (const diffIds of core.build?.layerRoots() ?? []) {
    ledger.stack('cache', diffIds);
    for (const chainId of chainIds(diffIds)) cached.add(chainId);
    for (const diffId of diffIds) {
      const layer = core.images.layer(diffId);
      if (layer) ledger.blob('cache', layer.blob.digest);
    }
  }
  for (const { id } of containers) {
    const owner: Owner = `container ${id}`;
    ledger.snapshot(owner, id);
    ledger.folder(owner, `containers/${id}`);
    for (let key = core.driver.info(id)?.parent; key !== undefined; key = core.driver.info(key)?.parent)
      ledger.snapshot(`layer ${id}`, key);
  }
  for (const { name } of volumes) ledger.folder(`volume ${name}`, `volumes/${name}`);

  const pieces: Piece[] = [
    ...[...survey.places].map(([place, extent]) => ({ places: [place], ...extent })),
    ...survey.linked,
  ].map((piece) => {
    const owners = ledger.ownersOf(piece.places);
    return { ...piece, owners, part: partOf(piece.places[0] ?? '', owners) };
  });
  const total = (test: (piece: Piece) => boolean): number =>
    pieces.reduce((sum, piece) => (test(piece) ? sum + piece.bytes : sum), 0);
  const ofImages = pieces.filter(({ owners }) => hasImage(owners));
  return {
    totalBytes: total(() => true),
    parts: summary(pieces),
    layersBytes: ofImages.reduce((sum, { bytes }) => sum + bytes, 0),
    images: images.map((image) => {
      const gone = new Set(removedWith(core, image, images).map((id): Owner => `image ${id}`));
      const own: Owner = `image ${image.id}`;
      const bytes = total(({ owners }) => owners.has(own));
      const unique = total(
        ({ owners }) =>
          hasImage(owners) && [...owners].every((owner) => gone.has(owner) || !keepsFromImages(owner)),
      );
      return {
        image,
        bytes: Math.max(bytes, unique),
        sharedBytes: Math.max(bytes - unique, 0),
        containers: containers.filter(({ record }) => record.imageId === image.id).length,
      };
    }),
    containers: containers.map((container) => ({
      container,
      bytes: total(({ owners, part }) => part === 'containers' && owners.has(`container ${container.id}`)),
    })),
    volumes: volumes.map((volume) => ({
      volume,
      bytes: total(({ owners, part }) => part === 'volumes' && owners.has(`volume ${volume.name}`)),
      users: containers.filter(({ record }) => record.mounts.some(({ Name }) => Name === volume.name)).length,
    })),
    cache: cacheItems(core, pieces, cached),
  };
}

/** Paths of snapshots' that lie elsewhere than in their own folder. */
function placesOfDriver({ driver, root }: EngineCore): string[] {
  const real = realpathSync(root);
  return Array.from(driver.list())
    .flatMap(({ key }) => driver.paths?.(key) ?? [])
    .map((path) => relative(real, path))
    .filter((path) => path.split('/').length > (plan.depths[path.split('/')[0] ?? ''] ?? 1));
}

const hasImage = (owners: ReadonlySet<Owner>): boolean =>
  [...owners].some((owner) => owner.startsWith('image '));

/** An image that a container uses cannot be removed before it, so that containers do not count here. */
const keepsFromImages = (owner: Owner): boolean => owner === 'cache' || owner.startsWith('image ');

/** The image, and the nameless ones below it that go with it (moby daemon/images/image_delete.go). */
function removedWith(core: EngineCore, image: LocalImage, images: readonly LocalImage[]): Digest[] {
  const gone = [image.id];
  const used = new Set(core.containers.list().map(({ record }) => record.imageId));
  for (let { parent } = image; parent !== undefined; ) {
    const next = images.find(({ id }) => id === parent);
    if (!next || next.tags.length + next.digests.length > 0 || used.has(next.id)) break;
    if (images.some((other) => other.parent === next.id && !gone.includes(other.id))) break;
    gone.push(next.id);
    ({ parent } = next);
  }
  return gone;
}

function partOf(place: string, owners: ReadonlySet<Owner>): UsagePart {
  const has = (kind: string): boolean => [...owners].some((owner) => owner.startsWith(kind));
  const [top = '', second = '', third] = place.split('/');
  if (hasImage(owners)) {
    if (top === 'content') return 'blobs';
    return plan.parts.some((part) => place.endsWith(`/${part}`)) ? 'indexes' : 'layers';
  }
  if (has('container ')) return 'containers';
  if (has('volume ')) return 'volumes';
  if (owners.has('cache') || (top === 'builder' && second !== '')) return 'build cache';
  if (has('layer ')) return 'layers';
  if (place.startsWith('state.db')) return 'database';
  if (top === 'quarantine' || (top === 'content' && second === 'damaged')) return 'quarantine';
  if (top === 'content' && second === 'ingest') return 'downloads';
  if (third === 'staging' || third === 'trash' || top === 'tmp') return 'deletions';
  if (top === 'content' && third !== undefined) return 'orphans';
  if (top === 'snapshots' && /^[0-9a-f]{64}$/.test(third ?? '')) return 'orphans';
  if ((top === 'containers' || top === 'volumes' || top === 'layers') && second !== '') return 'orphans';
  return 'folders';
}

function summary(pieces: readonly Piece[]): DiskUsage['parts'] {
  const order: readonly UsagePart[] = [
    'layers',
    'indexes',
    'blobs',
    'containers',
    'volumes',
    'build cache',
    'downloads',
    'orphans',
    'deletions',
    'quarantine',
    'database',
    'folders',
  ];
  return order.map((part) => {
    const own = pieces.filter((piece) => piece.part === part);
    return {
      part,
      items: new Set(own.flatMap(({ places }) => places)).size,
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  });
}

function cacheItems(
  core: EngineCore,
  pieces: readonly Piece[],
  cached: ReadonlySet<ChainID>,
): DiskUsage['cache'] {
  const root = realpathSync(core.root);
  const folders = new Map<string, ChainID>();
  for (const chainId of cached)
    for (const path of (core.driver.has(chainId) && core.driver.paths?.(chainId)) || [])
      folders.set(relative(root, path), chainId);
  const layers = new Map<string, number>();
  let files = 0;
  for (const { part, places, bytes } of pieces) {
    if (part !== 'build cache') continue;
    const place = places[0] ?? '';
    const chainId = folders.get(place) ?? folders.get(place.replace(/\/[^/]+$/, ''));
    if (chainId === undefined) files += bytes;
    else layers.set(chainId, (layers.get(chainId) ?? 0) + bytes);
  }
  return [
    ...[...layers].map(([id, bytes]) => ({ id, bytes, kind: 'layer' as const })),
    ...(files > 0 ? [{ id: 'files', bytes: files, kind: 'files' as const }] : []),
  ];
}
