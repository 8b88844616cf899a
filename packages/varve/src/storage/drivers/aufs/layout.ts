import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import type { Snapshot } from '../../tree/snapshot-tree.ts';

/** Where a snapshot of aufs keeps what; see README.md in this folder. */
export interface Layout {
  /** The branch: the layer itself, in AUFS's form. */
  readonly diff: string;
  /** Mount point; there only while mounted. */
  readonly merged: string;
  /** Locked by the union's server while it lives. */
  readonly lock: string;
}

export function layout({ path, own }: { readonly path: string; readonly own: string }): Layout {
  return { diff: join(own, 'diff'), merged: join(path, 'merged'), lock: join(path, 'server') };
}

const folders = ['diff', 'layers', 'mnt'] as const;

/**
 * Shows a snapshot where Docker's aufs driver would have it: `diff/<id>` and `mnt/<id>` lead to its folders,
 * `layers/<id>` names what it stands on, from the top down. All of it follows from the records, so that it can be made again.
 * @param below ids, topmost first.
 */
export function addDockerNames(folder: string, snapshot: Snapshot, below: readonly string[]): void {
  for (const name of folders) mkdirSync(join(folder, name), { recursive: true, mode: 0o710 });
  const { diff, merged } = layout(snapshot);
  const { id } = snapshot;
  for (const [name, target] of [
    ['diff', diff],
    ['mnt', merged],
  ] as const) {
    const link = join(folder, name, id);
    rmSync(link, { force: true });
    symlinkSync(relative(join(folder, name), target), link);
  }
  const list = join(folder, 'layers', id);
  const text = below.map((item) => `${item}\n`).join('');
  if (!existsSync(list) || readFileSync(list, 'utf8') !== text) writeFileSync(list, text, { mode: 0o600 });
}

export function removeDockerNames(folder: string, id: string): void {
  for (const name of folders) rmSync(join(folder, name, id), { force: true });
}

/** Ids that have names of Docker's. */
export function dockerNames(folder: string): Set<string> {
  return new Set(
    folders.flatMap((name) => {
      const path = join(folder, name);
      return existsSync(path) ? readdirSync(path) : [];
    }),
  );
}
