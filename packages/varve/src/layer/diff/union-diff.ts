import { closeSync, constants, openSync } from 'node:fs';
import { VarveError } from '../../base/index.ts';
import { check, close, getXattr, listFolder, openat, pathBelow } from '../../linux/index.ts';
import { type LayerMarks, layerMarks } from '../layer-marks.ts';
import { type BytePath, joinPath } from '../names.ts';
import { overlayXattrs } from '../whiteouts.ts';
import type { DiffSource } from '../types.ts';
import type { DiffItem } from './item.ts';
import { isDirectory, MergedFolder } from './merged-folder.ts';

/**
 * The diff that a union mount left in its upper folder: everything in it, with the union's marks read. Marks that
 * hide nothing are left out; the kernel makes every new folder opaque, and lists whiteouts that have lost their file.
 * @param lowers topmost first, as `lowerdir=`.
 * @param expandOpaque compares an opaque folder with what it hides, name by name, instead of saying `opaque`.
 * @throws VarveError `not-implemented` for an upper with redirects or metacopy: it is no diff by itself.
 */
export function* unionDiff(
  { kind, upper, lowers }: Extract<DiffSource, { kind: 'overlay' | 'aufs' }>,
  expandOpaque = false,
): Generator<DiffItem, void, void> {
  const fd = openSync(upper, constants.O_RDONLY | constants.O_DIRECTORY);
  const below = MergedFolder.open(lowers, layerMarks[kind]);
  try {
    yield* folderDiff(fd, '', below, { marks: layerMarks[kind], expandOpaque });
  } finally {
    below[Symbol.dispose]();
    closeSync(fd);
  }
}

function* folderDiff(
  fd: number,
  path: BytePath,
  below: MergedFolder,
  options: { readonly marks: LayerMarks; readonly expandOpaque: boolean },
  inOpaque = false,
): Generator<DiffItem, void, void> {
  const entries = listFolder(fd);
  if (typeof entries === 'number') {
    check(entries, 'getdents64', path);
    return;
  }
  const { marks, expandOpaque } = options;
  entries.sort((a, b) => marks.subject(a.name).compare(marks.subject(b.name)));
  for (const { name: base } of entries) {
    const entry = marks.read(fd, base);
    // Went away in a container that still runs, or is the union's own.
    if (!entry) continue;
    if (entry.kind === 'deleted') {
      const entryPath = joinPath(path, entry.name.toString('latin1'));
      if (below.lookup(entry.name)) yield { kind: 'deleted', path: entryPath };
      continue;
    }
    const { stat } = entry;
    const entryPath = joinPath(path, base.toString('latin1'));
    refuseRedirect(fd, base, entryPath);
    const lower = (): ReturnType<MergedFolder['lookup']> => below.lookup(base);
    yield { kind: 'entry', path: entryPath, dirfd: fd, base, stat, lower, parentOnly: false };
    if (!isDirectory(stat)) continue;
    const child = openat(fd, base, constants.O_RDONLY | constants.O_DIRECTORY);
    if (child < 0) continue;
    // Below an opaque folder the kernel marks nothing more: nothing shows there anyway.
    const opaque = inOpaque || marks.isOpaque(fd, base);
    const belowChild = opaque && !expandOpaque ? MergedFolder.empty(marks) : below.child(base);
    try {
      const hidden = opaque ? lower() : undefined;
      if (hidden && isDirectory(hidden.stat)) {
        if (expandOpaque) yield* hiddenNames(child, entryPath, belowChild, marks);
        else yield { kind: 'opaque', path: entryPath };
      }
      yield* folderDiff(child, entryPath, belowChild, options, opaque);
    } finally {
      belowChild[Symbol.dispose]();
      close(child);
    }
  }
}

/** What an opaque folder hides and does not have itself. */
function* hiddenNames(
  fd: number,
  path: BytePath,
  below: MergedFolder,
  marks: LayerMarks,
): Generator<DiffItem, void, void> {
  for (const name of below.names()) {
    if (marks.read(fd, name)?.kind !== 'entry')
      yield { kind: 'deleted', path: joinPath(path, name.toString('latin1')) };
  }
}

function refuseRedirect(dirfd: number, base: Buffer, path: BytePath): void {
  const target = pathBelow(dirfd, base);
  for (const name of [overlayXattrs.redirect, overlayXattrs.metacopy]) {
    if (getXattr(target, name) instanceof Buffer) {
      throw new VarveError(
        'not-implemented',
        'OVERLAY_REDIRECT',
        `${path} holds only a reference (${name})`,
        {
          subject: path,
          hint: 'mount with redirect_dir=off,metacopy=off',
        },
      );
    }
  }
}
