import {
  AufsDriver,
  BtrfsDriver,
  DeviceMapperDriver,
  ErofsDriver,
  Overlay2Driver,
  OverlayDriver,
  VfsDriver,
  type StorageDriverKind,
} from '../storage/index.ts';

/** The storage drivers there are, best first. @param snapshots folder in which each keeps to its own name. */
export function storageDriverKinds(snapshots: string): readonly StorageDriverKind[] {
  return [
    { name: 'erofs', create: (options) => new ErofsDriver(snapshots, options) },
    { name: 'overlay2', create: (options) => new Overlay2Driver(snapshots, options) },
    { name: 'vfs', create: (options) => new VfsDriver(snapshots, options) },
    { name: 'overlay', create: (options) => new OverlayDriver(snapshots, options) },
    { name: 'btrfs', create: (options) => new BtrfsDriver(snapshots, options) },
    { name: 'aufs', create: (options) => new AufsDriver(snapshots, options) },
    { name: 'devicemapper', create: (options) => new DeviceMapperDriver(snapshots, options) },
  ];
}
