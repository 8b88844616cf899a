import { join } from 'node:path';

/** Where a snapshot of overlay2 keeps what; see README.md in this folder. */
export interface Layout {
  /** The layer itself, in overlayfs's own form; the upper folder while the snapshot is active. */
  readonly diff: string;
  /** overlayfs's scratch folder; active snapshots only. */
  readonly work: string;
  /** Mount point; there only while mounted. */
  readonly merged: string;
}

export function layout({ path, own }: { readonly path: string; readonly own: string }): Layout {
  return { diff: join(own, 'diff'), work: join(own, 'work'), merged: join(path, 'merged') };
}

/** Folder of the short names, relative to the driver's. */
export const linkFolder = 'l';

/**
 * A snapshot's short name: 26 characters, so that 128 of them fit in the page of options that mount(2) takes.
 * It follows from the id (104 random bits of it), so a lost link can be made again.
 */
export function linkName(id: string): string {
  return id.slice(0, 26).toUpperCase();
}
