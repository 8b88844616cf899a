import { type FsOption, type MountAttributes, mountFilesystem } from '../../../linux/index.ts';
import type { VolumeFilesystem } from './options.ts';

export interface VolumeMount {
  readonly node: string;
  readonly filesystem: VolumeFilesystem;
  /** dm.mountopt */
  readonly options: readonly string[];
  /** Nobody may change the file system; it can then not be made writable while it is mounted. */
  readonly isCommitted: boolean;
}

/** What each file system needs on a volume. */
const fixedOptions: Readonly<Record<VolumeFilesystem, readonly FsOption[]>> = {
  // Writing empty inode tables in the background would take blocks in every volume anew.
  ext4: [['noinit_itable', true]],
  // A snapshot has its origin's UUID.
  xfs: [['nouuid', true]],
};

/** Mounts a volume's file system at `target`. fsopen(2) */
export function mountVolume(volume: VolumeMount, target: string, attributes: MountAttributes = {}): void {
  const { node, filesystem, options, isCommitted } = volume;
  const given = options.map((option): FsOption => {
    const at = option.indexOf('=');
    return at < 0 ? [option, true] : [option.slice(0, at), option.slice(at + 1)];
  });
  mountFilesystem(
    filesystem,
    [
      ['source', node],
      ...fixedOptions[filesystem],
      ...given,
      ...(isCommitted ? [['ro', true] as const] : []),
    ],
    target,
    isCommitted ? { ...attributes, readOnly: true } : attributes,
  );
}
