export { kernelHasX32 } from './abi.ts';
export {
  countDestroyedSubvolumes,
  createSubvolume,
  destroySubvolume,
  enableBtrfsQuota,
  limitSubvolume,
  snapshotSubvolume,
  subvolumeInode,
  subvolumeUsage,
  wakeSubvolumeCleaner,
} from './btrfs.ts';
export { discardDisk, diskSize } from './block-device.ts';
export type { FileName } from './c-string.ts';
export { DeviceMapper, deviceNode, makeDeviceNode, removeDeviceNode } from './device-mapper.ts';
export {
  type DeviceCommand,
  type DeviceNumber,
  type DeviceReply,
  decodeNames,
  decodeTable,
  deviceCommand,
  type TableLine,
} from './device-mapper-codec.ts';
export {
  capabilityNames,
  decodeCapabilities,
  dropCapabilities,
  ownCapabilities,
  ownHardLimit,
} from './capabilities.ts';
export {
  type CgroupLayout,
  cgroupFolder,
  cgroupProcesses,
  joinCgroup,
  parseCgroupMounts,
  readCgroupFile,
  readCgroupLayout,
  removeCgroup,
} from './cgroups.ts';
export { check, errno, result, type SysResult } from './errno.ts';
export {
  cloneFile,
  copyFileRange,
  fallocate,
  ftruncate,
  punchHole,
  seekData,
  seekHole,
  syncfs,
  tryLock,
  unlock,
} from './file-data.ts';
export { isFolderBeneath } from './folder-beneath.ts';
export { spreadFolders } from './folder-flags.ts';
export { trimHeap } from './heap.ts';
export {
  close,
  fchmod,
  fchmodat,
  fchown,
  fchownat,
  futimens,
  linkat,
  linkFd,
  makeDevice,
  mkdirat,
  mknodat,
  openat,
  openat2,
  openFlags,
  readlinkat,
  renameat2,
  resolveFlags,
  rmdirat,
  symlinkat,
  unlinkat,
  utimensat,
} from './files.ts';
export { FilesystemSync, filesystemName } from './filesystem.ts';
export { type FolderEntry, listFolder } from './folders.ts';
export { growFilesystem } from './grow-filesystem.ts';
export { type FsOption, fsOptionMaxBytes, mountFilesystem } from './fs-context.ts';
export { closeBacking, mountFuse, openBacking, openFuse } from './fuse.ts';
export { inFolder } from './in-folder.ts';
export { forgetUdpFlows } from './conntrack.ts';
export { bindInet } from './inet-sockets.ts';
export { type CodecStep, IsalDeflate, IsalInflate, isalAvailable } from './isal.ts';
export { declare, errnoName, lastErrno, systemError } from './libc.ts';
export { type Link, Links } from './links.ts';
export { attachLoop, type LoopDevice, type LoopOptions } from './loop.ts';
export {
  bindMount,
  type MountAttributes,
  mount,
  mountFlags,
  type Propagation,
  setMountAttributes,
  type UnmountOptions,
  unmount,
  unmountInBackground,
} from './mount.ts';
export { listMounts, type MountEntry, mountsBelow, parseMountinfo } from './mountinfo.ts';
export {
  createNetworkNamespace,
  insideNetworkNamespace,
  isNamespaceFile,
  removeNetworkNamespace,
} from './network-namespace.ts';
export { copyDescriptor } from './pidfd.ts';
export { Poller } from './poll.ts';
export {
  closeFd,
  findProgram,
  makePipe,
  type ProcessExit,
  type RunOptions,
  type RunResult,
  run,
  type SpawnedProcess,
  type SpawnOptions,
  type StdioTarget,
  sendSignal,
  spawn,
} from './process.ts';
export { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.ts';
export {
  enforcesProjectQuota,
  isProjectUsed,
  limitProject,
  setProjectId,
} from './project-quota.ts';
export { diskReadAhead, filesystemReadAhead, setFilesystemReadAhead } from './read-ahead.ts';
export { connectSeqpacket } from './sockets.ts';
export { type FileStat, fileType, statAt, statFd, type TimeSpec } from './stat.ts';
export { getXattr, listXattrs, pathBelow, removeXattr, setXattr, type XattrTarget } from './xattrs.ts';
