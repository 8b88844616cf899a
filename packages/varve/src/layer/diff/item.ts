import type { FileStat } from '../../linux/index.ts';
import type { BytePath } from '../names.ts';
import type { MergedEntry } from './merged-folder.ts';

/** One path in which a tree differs from what is below it, parents before children, names in byte order. */
export type DiffItem =
  | {
      readonly kind: 'entry';
      readonly path: BytePath;
      /** The folder it is in; open until the next item is asked for. */
      readonly dirfd: number;
      readonly base: Buffer;
      readonly stat: FileStat;
      /** What was there. */
      readonly lower: () => MergedEntry | undefined;
      /** Only here because something below it differs. */
      readonly parentOnly: boolean;
    }
  /** The name is gone. */
  | { readonly kind: 'deleted'; readonly path: BytePath }
  /** Follows its folder's entry: nothing from below shows in it. */
  | { readonly kind: 'opaque'; readonly path: BytePath };
