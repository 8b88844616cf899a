import { join } from 'node:path';
import { throwIfAborted } from '../../base/index.ts';
import { mountsBelow } from '../../linux/index.ts';
import type { ChainID } from '../../oci/index.ts';
import type { LayerToApply, SnapshotCheckOptions, SnapshotProblem } from '../types.ts';
import { recordFile } from './record.ts';
import type { Snapshot, SnapshotTree } from './snapshot-tree.ts';

/** What a driver tells of itself for a check. */
export interface SnapshotsToCheck {
  readonly tree: SnapshotTree;
  /** Whether somebody uses the mount of a snapshot. */
  readonly isUsed: (key: string) => boolean;
  /** What is wrong with a snapshot's files. */
  readonly examine: (
    snapshot: Snapshot,
    layer: LayerToApply | undefined,
    signal: AbortSignal | undefined,
  ) => Promise<string | undefined>;
  /** Where a snapshot is shown. */
  readonly mountPoint: (snapshot: Snapshot) => string;
}

/** Compares a tree's records, files and mounts. See {@link StorageDriver.check}. */
export async function checkSnapshots(
  { tree, isUsed, examine, mountPoint }: SnapshotsToCheck,
  { layerOf, onSnapshot, signal }: SnapshotCheckOptions = {},
): Promise<readonly SnapshotProblem[]> {
  const problems: SnapshotProblem[] = tree.unreadable.map((id) => ({
    kind: 'record-unreadable',
    subject: id,
    detail: `${join(tree.folder, id)} has no readable ${recordFile}`,
  }));
  for (const snapshot of Array.from(tree.values())) {
    throwIfAborted(signal);
    const { key, parent, kind } = snapshot;
    onSnapshot?.(key);
    if (parent !== undefined && !tree.get(parent))
      problems.push({ kind: 'parent-missing', subject: key, detail: `it stands on ${parent}` });
    const layer = kind === 'committed' ? layerOf?.(key as ChainID) : undefined;
    const damage = await examine(snapshot, layer, signal);
    // It may have been removed while it was read.
    if (damage !== undefined && tree.get(key) === snapshot)
      problems.push({ kind: 'damaged', subject: key, detail: damage });
  }
  for (const { target } of mountsBelow(tree.folder)) {
    const owner = tree.at(target);
    // Other mounts in a snapshot's folder are its driver's to count.
    if (owner && (mountPoint(owner) !== target || isUsed(owner.key))) continue;
    problems.push({ kind: 'mount-leaked', subject: target, detail: 'it is mounted and nobody uses it' });
  }
  for (const path of tree.leftovers())
    problems.push({ kind: 'leftover', subject: path, detail: 'half made or half deleted' });
  return problems;
}

/** True when a snapshot is another one or stands on it. */
export function standsOn(tree: SnapshotTree, key: string, below: string): boolean {
  for (let current: string | undefined = key; current !== undefined; current = tree.get(current)?.parent)
    if (current === below) return true;
  return false;
}
