import type { SnapshotProblem } from '../types.ts';
import { isMounted, mountPoint, unmountCompletely } from './mount-point.ts';
import type { SnapshotTree } from './snapshot-tree.ts';

/** What a driver does for the clearing. */
export interface Clearing {
  readonly tree: SnapshotTree;
  readonly isUsed: (key: string) => boolean;
  /** Unmounts a snapshot that nobody uses, with what it stands on. */
  readonly end: (key: string) => Promise<void>;
}

/** Ends what a check of the tree found. See {@link StorageDriver.clear}. */
export async function clearProblem(
  { tree, isUsed, end }: Clearing,
  { kind, subject }: SnapshotProblem,
  aside: string,
): Promise<boolean> {
  if (kind === 'record-unreadable') return tree.setAside(subject, aside);
  if (kind === 'leftover') {
    if (!tree.leftovers().includes(subject)) return false;
    await tree.sweep(subject);
    return true;
  }
  if (kind !== 'mount-leaked') return false;
  const owner = tree.at(subject);
  if (owner && mountPoint(owner) === subject) {
    if (isUsed(owner.key)) return false;
    await end(owner.key);
  }
  if (isMounted(subject)) await unmountCompletely(subject);
  return true;
}
