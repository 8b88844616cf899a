import { constants, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import {
  check,
  close,
  type FileStat,
  isFolderBeneath,
  openat,
  statAt,
  statFd,
  utimensat,
} from '../../../linux/index.ts';
import { copyAttributesOf } from '../../worker/copy-tree.ts';
import { bytes, isReserved, opaqueName } from './union/names.ts';
import type { Part } from './union/node.ts';
import { isFolder, Union } from './union/union.ts';

const currentFolder = -100; // AT_FDCWD
const readFolder = constants.O_RDONLY | constants.O_DIRECTORY;

/**
 * Gives folders that an archive names only in the paths of what is in them the looks that they have in the layers below;
 * a union would show this layer's bare ones. One that was made for whiteouts alone, over nothing or over a file, goes.
 * @param diff the layer's folder, not mounted.
 * @param folders relative, one character a byte, parents first.
 * @param lowers folders of all layers below, topmost first.
 */
export function settleLayer(diff: string, folders: readonly string[], lowers: readonly string[]): void {
  if (folders.length === 0) return;
  const union = new Union({ writable: undefined, readOnly: lowers });
  const root = check(openat(currentFolder, diff, readFolder), 'openat', diff);
  try {
    const kept: { readonly path: string; readonly below: Below }[] = [];
    for (const path of folders.toReversed()) {
      // A link in its place, or in that of a folder above, would lead out of the layer.
      if (!isFolderBeneath(root, bytes(path))) continue;
      const below = isHidden(root, path) ? undefined : findBelow(union, path);
      if (below && isFolder(below.stat)) kept.push({ path, below });
      else keepingTimes(root, path, () => removeIfOnlyMarks(diff, path));
    }
    for (const { path, below } of kept.toReversed()) copyAttributes(below, root, path);
  } finally {
    close(root);
    union.close();
  }
}

interface Below {
  readonly part: Part;
  readonly name: string;
  readonly stat: FileStat;
}

/** What the layers below show at a path. */
function findBelow(union: Union, path: string): Below | undefined {
  let folder = union.root;
  const parts = path.split('/');
  for (const [index, name] of parts.entries()) {
    const found = union.find(folder, name);
    if (!found) return undefined;
    if (index === parts.length - 1) return { ...found, name };
    const node = union.node(folder, name, found);
    if (node.kind !== 'folder') return undefined;
    folder = node;
  }
  return undefined;
}

/** True below a folder of this layer that shows nothing of the layers below. */
function isHidden(root: number, path: string): boolean {
  const parts = path.split('/').slice(0, -1);
  return parts.some((_, index) => {
    const above = parts.slice(0, index + 1).join('/');
    return typeof statAt(root, bytes(`${above}/${opaqueName}`)) !== 'number';
  });
}

function removeIfOnlyMarks(diff: string, path: string): void {
  const folder = Buffer.from(`${diff}/`);
  const full = Buffer.concat([folder, bytes(path)]);
  const names = readdirSync(full, { encoding: 'buffer' });
  if (!names.every((name) => isReserved(name.toString('latin1')))) return;
  for (const name of names) unlinkSync(Buffer.concat([full, Buffer.from('/'), name]));
  rmdirSync(full);
}

/** Does something to a name and leaves its folder's times as they were. */
function keepingTimes(root: number, path: string, action: () => void): void {
  const at = path.lastIndexOf('/');
  const parent = at < 0 ? bytes('.') : bytes(path.slice(0, at));
  const before = statAt(root, parent);
  action();
  if (typeof before !== 'number')
    check(utimensat(root, parent, before.atime, before.mtime), 'utimensat', parent);
}

function copyAttributes({ part, name }: Below, root: number, path: string): void {
  const from = check(openat(part.fd, bytes(name), readFolder), 'openat', name);
  try {
    const to = check(openat(root, bytes(path), readFolder), 'openat', path);
    try {
      const stat = statFd(from);
      if (typeof stat !== 'number') copyAttributesOf(from, to, stat, path);
    } finally {
      close(to);
    }
  } finally {
    close(from);
  }
}
