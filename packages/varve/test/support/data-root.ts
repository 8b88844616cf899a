import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const listing = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

/** What an engine's data root holds beside its records; names only, so that two moments can be compared. */
export function holdings(root: string): Record<string, readonly string[]> {
  const drivers = listing(join(root, 'snapshots')).map((name) => join(root, 'snapshots', name));
  const within = (name: string): string[] => drivers.flatMap((driver) => listing(join(driver, name)));
  return {
    blobs: listing(join(root, 'content/sha256')),
    ingests: listing(join(root, 'content/ingest')),
    damaged: listing(join(root, 'content/damaged')),
    snapshots: within('.').filter((name) => /^[0-9a-f]{64}$/.test(name)),
    staging: within('staging'),
    trash: within('trash'),
    temporary: listing(join(root, 'tmp')),
    builds: listing(join(root, 'builder/builds')),
    containers: listing(join(root, 'containers')),
  };
}

/** What the records say is there. */
export interface Recorded {
  /** Blobs some image needs. */
  readonly imageBlobs: ReadonlySet<string>;
  /** DiffIDs that have a record, and the blob of each. */
  readonly layers: ReadonlyMap<string, string>;
  /** DiffIDs that an image or the build cache is made of. */
  readonly usedLayers: ReadonlySet<string>;
}

/** Reads the records of a data root, also while an engine has it open. */
export function recorded(root: string): Recorded {
  using state = new DatabaseSync(join(root, 'state.db'), { readOnly: true });
  const rows = (sql: string): Record<string, string>[] =>
    state.prepare(sql).all() as Record<string, string>[];
  const imageBlobs = new Set(rows('SELECT digest FROM image_blobs').map((row) => row['digest'] ?? ''));
  const layers = new Map(
    rows('SELECT diff_id, blob FROM image_layers').map((row) => [
      row['diff_id'] ?? '',
      (JSON.parse(row['blob'] ?? '') as { digest: string }).digest,
    ]),
  );
  const usedLayers = new Set<string>();
  for (const { id = '' } of rows('SELECT id FROM image_images')) {
    const config = JSON.parse(blobText(root, id)) as { rootfs: { diff_ids: string[] } };
    for (const diffId of config.rootfs.diff_ids) usedLayers.add(diffId);
  }
  for (const { layers: stack = '[]' } of rows('SELECT layers FROM builder_steps')) {
    for (const diffId of JSON.parse(stack) as string[]) usedLayers.add(diffId);
  }
  return { imageBlobs, layers, usedLayers };
}

function blobText(root: string, digest: string): string {
  return readFileSync(join(root, 'content', digest.replace(':', '/')), 'utf8');
}

/** Every file under a digest's name has exactly those bytes. @returns names of those that have not. */
export function wrongBlobs(root: string): string[] {
  const folder = join(root, 'content/sha256');
  return readdirSync(folder).filter(
    (name) =>
      createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex') !== name,
  );
}

/** A digest of a folder outside: names, types, modes, owners, links, times of change and bytes of all in it. */
export function fingerprint(folder: string): string {
  const hash = createHash('sha256');
  const visit = (path: string): void => {
    const info = lstatSync(path);
    hash.update(
      `${path} ${info.mode} ${info.uid} ${info.gid} ${info.nlink} ${info.size} ${info.ctimeMs} ${info.ino}\n`,
    );
    if (info.isSymbolicLink()) hash.update(readlinkSync(path));
    else if (info.isFile()) hash.update(readFileSync(path));
    else if (info.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
  };
  visit(folder);
  return hash.digest('hex');
}
