import { renameSync, rmSync } from 'node:fs';
import { type LowerLayer, settleIndex } from '../../../layer/index.ts';
import { FilesystemSync } from '../../../linux/index.ts';
import type { Snapshot, SnapshotTree } from '../../tree/snapshot-tree.ts';
import { isIndexed, layout } from './layout.ts';

/**
 * Answers the open questions of a stack's layers, from the bottom up; none of them need be mounted. The disk is waited for
 * once, however many layers there are: until then new indexes stand beside the old ones, and after a crash the questions
 * are asked again. Nobody else may settle meanwhile.
 * @param stack topmost first, down to the bottom layer.
 */
export async function settleStack(tree: SnapshotTree, stack: readonly Snapshot[]): Promise<void> {
  const open = stack.filter(({ unsettled }) => unsettled).toReversed();
  if (!open[0]) return;
  using filesystem = new FilesystemSync(open[0].path);
  const written = new Map<string, string>();
  for (const layer of open) {
    const { tar, index } = layout(layer.path);
    const output = `${index}.new`;
    rmSync(output, { force: true });
    const lowers = lowersOf(stack.slice(stack.indexOf(layer) + 1), written);
    if (layer.diffId && layer.unsettled) {
      const request = { tar, diffId: layer.diffId, questions: layer.unsettled, lowers, output };
      if (await settleIndex(request)) written.set(layer.id, output);
    }
  }
  if (written.size > 0) await filesystem.sync();
  await Promise.all(
    open.map(async (layer) => {
      const output = written.get(layer.id);
      if (output !== undefined) renameSync(output, layout(layer.path).index);
      const { id: _id, path: _path, own: _own, unsettled: _answered, ...record } = layer;
      await tree.rewrite(layer, record);
    }),
  );
}

/** How the layers below can be read. */
export function lowersOf(stack: readonly Snapshot[], newer?: ReadonlyMap<string, string>): LowerLayer[] {
  return stack.map(({ id, path }) => {
    const { index, diff } = layout(path);
    return isIndexed(path) ? { index: newer?.get(id) ?? index } : { folder: diff };
  });
}
