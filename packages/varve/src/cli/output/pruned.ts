import type { PruneResult } from '@varve/client';
import { formatBytes } from '../../base/index.ts';
import type { Terminal } from '../terminal.ts';

/** Prints what a prune removed and how much space it gave back. */
export function printPruned(terminal: Terminal, result: PruneResult): void {
  const parts: readonly (readonly [string, readonly string[]])[] = [
    ['Deleted Containers:', result.ContainersDeleted ?? []],
    ['Deleted Networks:', result.NetworksDeleted ?? []],
    ['Deleted Volumes:', result.VolumesDeleted ?? []],
    [
      'Deleted Images:',
      (result.ImagesDeleted ?? []).map((item) =>
        item.Untagged === undefined ? `deleted: ${item.Deleted}` : `untagged: ${item.Untagged}`,
      ),
    ],
    ['Deleted build cache objects:', result.CachesDeleted ?? []],
  ];
  for (const [title, names] of parts) {
    if (names.length === 0) continue;
    terminal.print(title);
    for (const name of names) terminal.print(name);
    terminal.print();
  }
  if (result.SpaceReclaimed !== undefined)
    terminal.print(`Total reclaimed space: ${formatBytes(result.SpaceReclaimed)}`);
}
