import { VarveError } from '../../base/index.ts';
import { pathBytes, splitPath } from '../names.ts';
import type { PackItem } from '../pack/item.ts';
import type { DiffSource } from '../types.ts';
import { opaqueName, whiteoutPrefix } from '../whiteouts.ts';
import { isDirectory } from './merged-folder.ts';
import { withLinkedNames } from './linked-names.ts';
import { sameSinceSnapshot, sameToLayer } from './same.ts';
import { treeDiff } from './tree-diff.ts';
import { unionDiff } from './union-diff.ts';

/**
 * A diff as a layer's entries: deletions become `.wh.` files, opaque folders get `.wh..wh..opq` (OCI image spec,
 * layer.md). The root has no entry, as in Docker's layers.
 * @throws VarveError LAYER_RESERVED_NAME for a file that a layer would take for a whiteout.
 */
export function* layerItems(
  source: DiffSource,
  exclude: readonly string[] = [],
): Generator<PackItem, void, void> {
  const left = new Set(exclude.map((path) => path.replace(/^\/+/, '')));
  const diff =
    source.kind !== 'trees'
      ? unionDiff(source)
      : withLinkedNames(
          treeDiff(source.upper, source.lower, sameSinceSnapshot(sameToLayer, source.snapshotAt)),
          source.upper,
        );
  for (const item of diff) {
    const { parent, base } = splitPath(item.path);
    const folder = parent === '' ? '' : `${parent}/`;
    switch (item.kind) {
      case 'deleted':
        yield { kind: 'marker', name: pathBytes(`${folder}${whiteoutPrefix}${base}`) };
        break;
      case 'opaque':
        yield { kind: 'marker', name: pathBytes(`${item.path}/${opaqueName}`) };
        break;
      case 'entry':
        if (left.has(item.path)) break;
        if (base.startsWith(whiteoutPrefix)) {
          throw new VarveError('invalid', 'LAYER_RESERVED_NAME', `no layer can hold a file named ${base}`, {
            subject: item.path,
            hint: 'names that start with .wh. mean deletions in a layer; rename or remove the file',
          });
        }
        yield {
          kind: 'file',
          name: pathBytes(isDirectory(item.stat) ? `${item.path}/` : item.path),
          dirfd: item.dirfd,
          base: item.base,
          stat: item.stat,
        };
    }
  }
}
