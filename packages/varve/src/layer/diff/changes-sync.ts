import type { Change, DiffSource } from '../types.ts';
import type { DiffItem } from './item.ts';
import { unionDiff } from './union-diff.ts';
import { sameSinceSnapshot, sameToDocker } from './same.ts';
import { treeDiff } from './tree-diff.ts';

/** The folder of an absolute path; undefined for one in the root. */
function parentOf(path: string): string | undefined {
  const at = path.lastIndexOf('/');
  return at <= 0 ? undefined : path.slice(0, at);
}

/** What `docker diff` shows: what differs, deletions, and the folders above as modified. Sorted by path in byte order. */
export function changesSync(source: DiffSource, checkCancelled: () => void): Change[] {
  const items =
    source.kind !== 'trees'
      ? unionDiff(source, true)
      : treeDiff(source.upper, source.lower, sameSinceSnapshot(sameToDocker, source.snapshotAt));
  const changes = new Map<string, Change['kind']>();
  for (const item of items) {
    checkCancelled();
    const kind = changeKind(item);
    if (!kind) continue;
    const path = `/${item.path}`;
    changes.set(path, kind);
    for (let parent = parentOf(path); parent !== undefined; parent = parentOf(parent)) {
      if (changes.has(parent)) break;
      changes.set(parent, 'modify');
    }
  }
  return Array.from(changes, ([path, kind]) => ({ path, kind }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ path, kind }) => ({ path: Buffer.from(path, 'latin1').toString(), kind }));
}

function changeKind(item: DiffItem): Change['kind'] | undefined {
  if (item.kind === 'deleted') return 'delete';
  if (item.kind === 'opaque' || item.parentOnly) return undefined;
  const lower = item.lower();
  if (!lower) return 'add';
  return sameToDocker(item, lower) ? undefined : 'modify';
}
