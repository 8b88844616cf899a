import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where a snapshot of erofs keeps what; see README.md in this folder. */
export interface Layout {
  /** The layer's uncompressed archive, as it came; of applied layers only. */
  readonly tar: string;
  /** The EROFS image whose file contents are the tar's; of applied layers only. */
  readonly index: string;
  /**
   * The layer as a folder: the index's mount point, or files of its own where the snapshot was made by writing (the
   * upper folder while it is active).
   */
  readonly diff: string;
  /** overlayfs's scratch folder; active snapshots only. */
  readonly work: string;
  /** Mount point of the stack; there only while mounted. */
  readonly merged: string;
}

export function layout(path: string): Layout {
  return {
    tar: join(path, 'diff.tar'),
    index: join(path, 'index.erofs'),
    diff: join(path, 'diff'),
    work: join(path, 'work'),
    merged: join(path, 'merged'),
  };
}

/** True for a layer that is kept as an archive, also when one of its two files is lost: it must not look empty. */
export function isIndexed(path: string): boolean {
  const { index, tar } = layout(path);
  return existsSync(index) || existsSync(tar);
}
