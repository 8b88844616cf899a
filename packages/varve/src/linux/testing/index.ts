export { BtrfsDisk } from './btrfs-disk.ts';
export { PowerCutDisk, type PowerCutDiskOptions } from './power-cut-disk.ts';
export type { TestDisk } from './test-disk.ts';
