import { constants } from 'node:fs';
import { check, close, type FileStat, fileType, listFolder, openat, openFlags } from '../../linux/index.ts';
import type { LayerMarks } from '../layer-marks.ts';

export function isDirectory(stat: FileStat): boolean {
  return (stat.mode & fileType.mask) === fileType.directory;
}

/** A name as the stack shows it: the file, and the folder of the layer that has it. */
export interface MergedEntry {
  readonly stat: FileStat;
  readonly dirfd: number;
  readonly base: Buffer;
}

/** One folder as a stack of layers of a union file system shows it, read without a mount. They go by names and follow no link. */
export class MergedFolder implements Disposable {
  /** Descriptors (O_PATH), topmost layer first. */
  readonly #parts: readonly number[];

  readonly #marks: LayerMarks;

  private constructor(parts: readonly number[], marks: LayerMarks) {
    this.#parts = parts;
    this.#marks = marks;
  }

  /** The root of a stack of layer folders, topmost first. */
  static open(lowers: readonly string[], marks: LayerMarks): MergedFolder {
    const parts: number[] = [];
    try {
      for (const lower of lowers) {
        // The driver's own path; its links are the driver's.
        parts.push(
          check(openat(-100, `${lower}/.`, openFlags.path | constants.O_DIRECTORY), 'openat', lower),
        );
      }
    } catch (error) {
      for (const fd of parts) close(fd);
      throw error;
    }
    return new MergedFolder(parts, marks);
  }

  static empty(marks: LayerMarks): MergedFolder {
    return new MergedFolder([], marks);
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  /** What shows under a name; undefined when nothing does. */
  lookup(base: Buffer): MergedEntry | undefined {
    for (const dirfd of this.#parts) {
      const found = this.#marks.find(dirfd, base);
      if (found === undefined) continue;
      if (found === 'deleted') return undefined;
      if (typeof found !== 'number') return { stat: found, dirfd, base };
      check(found, 'statx', base);
    }
    return undefined;
  }

  /** The folder below; empty when no folder shows under that name. */
  child(base: Buffer): MergedFolder {
    const parts: number[] = [];
    for (const dirfd of this.#parts) {
      const found = this.#marks.find(dirfd, base);
      if (found === undefined) continue;
      if (typeof found !== 'object' || !isDirectory(found)) break;
      parts.push(check(openat(dirfd, base, openFlags.path | constants.O_DIRECTORY), 'openat', base));
      if (this.#marks.isOpaque(dirfd, base)) break;
    }
    return new MergedFolder(parts, this.#marks);
  }

  /** All names that show, in byte order. */
  names(): Buffer[] {
    const seen = new Map<string, Buffer>();
    for (const part of this.#parts) {
      const fd = check(openat(part, '.', constants.O_RDONLY | constants.O_DIRECTORY), 'openat', '.');
      const entries = listFolder(fd);
      close(fd);
      if (typeof entries === 'number') {
        check(entries, 'getdents64', '.');
        continue;
      }
      for (const { name } of entries) seen.set(name.toString('latin1'), name);
    }
    return [...seen.values()].filter((name) => this.lookup(name) !== undefined).sort((a, b) => a.compare(b));
  }

  [Symbol.dispose](): void {
    for (const fd of this.#parts) close(fd);
  }
}
