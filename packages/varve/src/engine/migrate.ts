import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statfsSync,
} from 'node:fs';
import { join } from 'node:path';
import { parseBytes, syncFolder, throwIfAborted, VarveError } from '../base/index.ts';
import type { ContentStore } from '../content/index.ts';
import type { ImageStore } from '../image/index.ts';
import { applyLayer, changes } from '../layer/index.ts';
import { check, FilesystemSync, mountsBelow, renameat2, unmount } from '../linux/index.ts';
import { type ChainID, chainIds, type DiffID, layerCompression } from '../oci/index.ts';
import {
  deleteInBackground,
  showsSnapshot,
  type LayerToApply,
  type StorageDriver,
  type StorageDriverKind,
} from '../storage/index.ts';
import type { ContainerStore } from './container-store.ts';

/** Folder of all drivers' trees, and the one where the new tree is built and the old one waits for its end. */
export function snapshotFolders(root: string): { readonly current: string; readonly other: string } {
  return { current: join(root, 'snapshots'), other: join(root, 'snapshots.migrating') };
}

/** The storage drivers there are, over a folder in which each keeps to its own name. */
export type DriverKinds = (snapshots: string) => readonly StorageDriverKind[];

export interface MigrationParts {
  readonly root: string;
  readonly kinds: DriverKinds;
  readonly from: StorageDriver;
  /** Over {@link snapshotFolders}' `other`. */
  readonly to: StorageDriver;
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly containers: ContainerStore;
  /** Stacks that the build cache needs. */
  readonly cached: Iterable<readonly DiffID[]>;
}

/** What there is to move. */
export interface MigrationPlan {
  readonly layers: number;
  readonly containers: number;
  /** Bytes that the new tree will need, about; both are there until the switch. */
  readonly bytesNeeded: number;
  readonly bytesFree: number;
}

export interface MigrationOptions {
  readonly signal?: AbortSignal;
  readonly onStep?: (text: string) => void;
}

interface Work {
  /** Parents before children. */
  readonly layers: readonly LayerToApply[];
  /** Snapshots that nothing stands on: comparing these compares all. */
  readonly tops: readonly ChainID[];
  readonly containers: readonly {
    readonly id: string;
    readonly name: string;
    readonly size: number | undefined;
  }[];
}

/**
 * Moves every image and container of a data root to another storage driver, or nothing: the new tree is built beside the old
 * one, compared with it, and takes its place in one durable step. Until then the old one is as it was, whenever the process ends.
 * No engine may use the root, and no container may run.
 * @throws VarveError `conflict` for what is mounted, `data-loss` for what cannot be moved or is not the same afterwards.
 */
export async function migrateStorage(parts: MigrationParts, options: MigrationOptions = {}): Promise<void> {
  const { root, from, to } = parts;
  const { onStep = () => undefined, signal } = options;
  const { current, other } = snapshotFolders(root);
  refuseMounts(current);
  const work = collectWork(parts);
  for (const [index, layer] of work.layers.entries()) {
    throwIfAborted(signal);
    onStep(`layer ${index + 1}/${work.layers.length} ${layer.diffId}`);
    await to.apply(layer, signal ? { signal } : {});
  }
  for (const [index, { id, name, size }] of work.containers.entries()) {
    throwIfAborted(signal);
    onStep(`container ${index + 1}/${work.containers.length} ${name}`);
    await carryContainer(parts, id, size, signal);
  }
  const keys = [...work.tops, ...work.containers.map(({ id }) => id)];
  for (const [index, key] of keys.entries()) {
    throwIfAborted(signal);
    onStep(`compare ${index + 1}/${keys.length} ${key}`);
    await compare(from, to, key);
  }
  await Promise.all([from.close(), to.close()]);
  refuseMounts(other);
  using filesystem = new FilesystemSync(other);
  await filesystem.sync();
  // renameat2(2) RENAME_EXCHANGE: at no instant is there none, or half of one.
  check(renameat2(-100, other, -100, current, 2), 'renameat2', current);
  syncFolder(root);
  onStep(`switched from ${from.name} to ${to.name}`);
  await removeOtherTree(root, parts.kinds);
  onStep(`removed the tree of ${from.name}`);
}

/** Says what a migration would do. */
export async function planMigration(parts: MigrationParts): Promise<MigrationPlan> {
  const { layers, containers } = collectWork(parts);
  const { images, to, root } = parts;
  const sizes = new Map<string, number>();
  let bytesNeeded = 0;
  const step = (key: string, parent: ChainID | undefined, bytes: number): void => {
    const whole = (parent === undefined ? 0 : (sizes.get(parent) ?? 0)) + bytes;
    sizes.set(key, whole);
    bytesNeeded += to.copiesParents === true ? whole : bytes;
  };
  for (const { chainId, parent, diffId } of layers) step(chainId, parent, images.layer(diffId)?.tarSize ?? 0);
  for (const { id } of containers) {
    const { contentBytes } = await parts.from.usage(id);
    step(id, parts.from.info(id)?.parent, contentBytes);
  }
  const { bavail, bsize } = statfsSync(root);
  return { layers: layers.length, containers: containers.length, bytesNeeded, bytesFree: bavail * bsize };
}

/** Ends the tree of a migration that was broken off before its switch, or the old one after it, and what either had mounted. */
export async function removeOtherTree(root: string, kinds: DriverKinds): Promise<void> {
  const { current, other } = snapshotFolders(root);
  if (!existsSync(other)) return;
  dropViews(current);
  for (const { target } of mountsBelow(realpathSync(other)).reverse()) unmount(target, { detach: true });
  for (const kind of kinds(other)) if (existsSync(join(other, kind.name))) await kind.create([]).destroy?.();
  await deleteInBackground(other);
  rmSync(other, { recursive: true, force: true });
}

/** Unmounts what a killed migration had mounted to compare: read-only, as nothing is that a container uses. */
function dropViews(folder: string): void {
  for (const { target, options } of existsSync(folder) ? mountsBelow(realpathSync(folder)) : []) {
    if (!options.includes('ro') || !showsSnapshot(target)) continue;
    unmount(target, { detach: true });
    rmdirSync(target);
  }
}

/** Makes the folder for the new tree, empty. */
export async function beginOtherTree(root: string, kinds: DriverKinds): Promise<string> {
  await removeOtherTree(root, kinds);
  const { other } = snapshotFolders(root);
  mkdirSync(other, { mode: 0o710 });
  return other;
}

function refuseMounts(folder: string): void {
  const [mounted] = existsSync(folder) ? mountsBelow(realpathSync(folder)) : [];
  if (!mounted) return;
  throw new VarveError('conflict', 'STORAGE_IN_USE', `${mounted.target} is mounted`, {
    subject: folder,
    hint: 'stop the containers that run, and the engine',
  });
}

function collectWork({ images, content, containers, from, cached }: MigrationParts): Work {
  const layers = new Map<ChainID, LayerToApply>();
  const stacks = [...images.list().map(({ config }) => config.rootfs.diff_ids), ...cached];
  const unreadable = [...images.unreadable(), ...containers.unreadable.keys()];
  if (unreadable.length > 0) throw broken(`the record of ${unreadable[0]} cannot be read`);
  for (const image of images.list())
    if (!content.stat(image.id)) throw broken(`the config of image ${image.id} is not here`);
  for (const diffIds of stacks) {
    const chain = chainIds(diffIds);
    for (const [index, chainId] of chain.entries()) {
      const layer = images.layer(diffIds[index] as DiffID);
      if (!layer || !content.stat(layer.blob.digest))
        throw broken(`the blob of layer ${diffIds[index]} is not here`);
      layers.set(chainId, {
        chainId,
        parent: chain[index - 1],
        diffId: layer.diffId,
        path: content.path(layer.blob.digest),
        compression: layerCompression(layer.blob.mediaType) ?? 'auto',
      });
    }
  }
  const parents = new Set([...layers.values()].map(({ parent }) => parent));
  const moved = containers.list().map(({ id, record }) => {
    const info = from.info(id);
    if (!info) throw broken(`container ${record.name} has no writable layer`);
    if (info.parent !== undefined && !layers.has(info.parent))
      throw broken(`container ${record.name} stands on an image that was removed`);
    const limit = record.hostConfig.StorageOpt?.['size'];
    return { id, name: record.name, size: limit === undefined ? undefined : parseBytes(limit) };
  });
  const tops = [...layers.keys()].filter((chainId) => !parents.has(chainId) && from.has(chainId));
  return { layers: [...layers.values()], tops, containers: moved };
}

function broken(why: string): VarveError {
  return new VarveError('data-loss', 'NOT_MOVABLE', `nothing was moved: ${why}`, {
    hint: 'see `varve system check --repair`, or remove what is broken',
  });
}

async function carryContainer(
  { from, to, content }: MigrationParts,
  id: string,
  size: number | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const options = signal ? { signal } : {};
  const path = content.temporaryPath();
  try {
    await from.diff(id, path, 'none', options);
    await to.prepare(id, from.info(id)?.parent, size === undefined ? {} : { size });
    const rootfs = await to.mount(id);
    try {
      await applyLayer({ path, compression: 'none' }, { root: rootfs, whiteouts: 'apply' }, options);
    } finally {
      await to.unmount(id);
    }
  } finally {
    rmSync(path, { force: true });
  }
}

/** Shows a snapshot under both drivers and compares names, types, attributes and times, and what a container wrote byte by byte. */
async function compare(from: StorageDriver, to: StorageDriver, key: string): Promise<void> {
  const [lower, upper] = [await from.mount(key, { readOnly: true }), await to.mount(key, { readOnly: true })];
  try {
    const [first] = await changes({ kind: 'trees', upper, lower });
    if (first) throw different(key, `${first.path} (${first.kind})`);
    if (from.info(key)?.kind === 'active') {
      for (const { path, kind } of await from.changes(key))
        if (kind !== 'delete' && content(join(lower, path)) !== content(join(upper, path)))
          throw different(key, path);
    }
  } finally {
    await to.unmount(key);
    await from.unmount(key);
  }
}

function different(key: string, what: string): VarveError {
  return new VarveError(
    'data-loss',
    'MIGRATION_DIFFERS',
    `${key} is not the same under the new driver: ${what}`,
    {
      subject: key,
      hint: 'nothing was moved; please report it',
    },
  );
}

/** What tells a file's content from another's; the bytes of a large one are hashed. */
function content(path: string): string {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return readlinkSync(path);
  return stat.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : '';
}
