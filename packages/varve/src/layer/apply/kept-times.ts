import { statAt, type TimeSpec, utimensat } from '../../linux/index.ts';
import { type BytePath, splitPath } from '../names.ts';
import type { ConfinedRoot } from './confined-root.ts';

interface Noted {
  readonly path: BytePath;
  readonly atime: TimeSpec;
  readonly mtime: TimeSpec;
}

/**
 * Times that folders had before a layer was applied over them. A layer with no entry for a folder says nothing of it, though
 * names come and go in it; as under overlayfs, where such a folder looks as it does below.
 */
export class KeptTimes {
  readonly #root: ConfinedRoot;
  readonly #noted = new Map<string, Noted>();
  #last: BytePath | undefined;

  constructor(root: ConfinedRoot) {
    this.#root = root;
  }

  /** To be called before a name in the folder is made or removed; where it is not there, the one above counts. */
  note(path: BytePath): void {
    if (path === this.#last) return;
    this.#last = path;
    let existing = path;
    while (existing !== '' && this.#root.folder(existing) < 0) existing = splitPath(existing).parent;
    if (existing === '') return;
    const stat = statAt(this.#root.folder(existing), '.');
    if (typeof stat === 'number') return;
    const key = `${stat.device} ${stat.inode}`;
    if (!this.#noted.has(key)) this.#noted.set(key, { path: existing, atime: stat.atime, mtime: stat.mtime });
  }

  /** To be called when a folder or link was removed or replaced: the last one noted may have been below it. */
  forget(): void {
    this.#last = undefined;
  }

  /** Sets them again; a folder that is gone or another now is passed over. */
  restore(): void {
    for (const [key, { path, atime, mtime }] of this.#noted) {
      const folder = this.#root.folder(path);
      const stat = folder < 0 ? folder : statAt(folder, '.');
      if (typeof stat === 'number' || `${stat.device} ${stat.inode}` !== key) continue;
      utimensat(folder, '.', atime, mtime);
    }
  }
}
