import { closeSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { background, declare, systemError } from './libc.ts';

type Text = string | null;

const sysMount = declare<(source: Text, target: string, type: Text, flags: number, data: Text) => number>(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const sysUmount = declare<(target: string, flags: number) => number>(
  'int umount2(const char *target, int flags)',
);
const openTree = declare<(nr: number, folder: number, path: string, flags: number) => number>(
  'long syscall(long nr, int dfd, const char *path, uint32_t flags)',
);
const moveMount = declare<
  (nr: number, from: number, fromPath: string, to: number, toPath: string, flags: number) => number
>('long syscall(long nr, int from, const char *fromPath, int to, const char *toPath, uint32_t flags)');
const mountSetattr = declare<
  (nr: number, folder: number, path: string, flags: number, attributes: Uint8Array, size: number) => number
>('long syscall(long nr, int dfd, const char *path, uint32_t flags, const void *attr, size_t size)');

// Numbers from 424 on are the same on every architecture.
const openTreeNumber = 428;
const moveMountNumber = 429;
const mountSetattrNumber = 442;
const atCurrentFolder = -100;
const atEmptyPath = 0x1000;
const atRecursive = 0x8000;
const openTreeClone = 1;
const openTreeCloexec = 0o2000000;
const moveMountFromEmptyPath = 4;

/** Flags of mount(2). */
export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  remount: 32,
  noSymfollow: 256,
  noAtime: 1024,
  bind: 4096,
  move: 8192,
  recursive: 16384,
  unbindable: 1 << 17,
  private: 1 << 18,
  slave: 1 << 19,
  shared: 1 << 20,
  relatime: 1 << 21,
  strictAtime: 1 << 24,
} as const;

/** How mounts and unmounts below a mount spread to its copies. mount_namespaces(7) */
export type Propagation = 'private' | 'slave' | 'shared' | 'unbindable';

/** What can be set for one mount, whatever its file system. mount_setattr(2) */
export interface MountAttributes {
  readonly readOnly?: boolean;
  readonly noSuid?: boolean;
  readonly noDev?: boolean;
  readonly noExec?: boolean;
  readonly noSymfollow?: boolean;
  readonly propagation?: Propagation;
  /** With every mount below. */
  readonly recursive?: boolean;
}

const attributeBits = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8, noSymfollow: 0x200000 } as const;

/** The bits of MOUNT_ATTR_* that are asked to be set and to be cleared. */
export function attributeMasks(attributes: MountAttributes): {
  readonly set: number;
  readonly clear: number;
} {
  let set = 0;
  let clear = 0;
  for (const [name, bit] of Object.entries(attributeBits)) {
    const wanted = attributes[name as keyof typeof attributeBits];
    if (wanted === true) set |= bit;
    if (wanted === false) clear |= bit;
  }
  return { set, clear };
}

/**
 * mount(2), for what the newer calls cannot do.
 * @throws VarveError with the errno's name as code.
 */
export function mount(
  source: string | null,
  target: string,
  type: string | null,
  flags = 0,
  data: string | null = null,
): void {
  if (sysMount(source, target, type, flags, data) < 0) throw systemError('mount', target);
}

export interface UnmountOptions {
  /** MNT_DETACH: gone from the tree at once, really unmounted when its last user ends. */
  readonly detach?: boolean;
}

const unmountNoFollow = 8;
const unmountFlags = (options: UnmountOptions): number => unmountNoFollow | (options.detach ? 2 : 0);

/**
 * Unmounts `target`, never through a symbolic link. umount2(2). Returns false when nothing was mounted there.
 * @throws VarveError with the errno's name as code, `EBUSY` as kind `conflict`.
 */
export function unmount(target: string, options: UnmountOptions = {}): boolean {
  return (
    sysUmount(target, unmountFlags(options)) === 0 || unmountFailed(target, systemError('umount', target))
  );
}

/**
 * {@link unmount} on another thread: the last unmount of an overlay or a disk writes back its whole file system,
 * which can take seconds.
 */
export async function unmountInBackground(target: string, options: UnmountOptions = {}): Promise<boolean> {
  const { result, errno } = await background(sysUmount, target, unmountFlags(options));
  return result === 0 || unmountFailed(target, systemError('umount', target, errno));
}

function unmountFailed(target: string, error: VarveError): false {
  // EINVAL: not a mount point.
  if (error.code === 'EINVAL' || error.code === 'ENOENT') return false;
  if (error.code === 'EBUSY') {
    throw new VarveError('conflict', 'EBUSY', error.message, { subject: target, cause: error });
  }
  throw error;
}

/** Puts a detached mount (of open_tree(2) or fsmount(2)) into the tree. move_mount(2). The descriptor stays open. */
export function attachMount(fd: number, target: string): void {
  if (moveMount(moveMountNumber, fd, '', atCurrentFolder, target, moveMountFromEmptyPath) < 0) {
    throw systemError('move_mount', target);
  }
}

function setAttributes(fd: number, path: string, label: string, attributes: MountAttributes): void {
  const { set, clear } = attributeMasks(attributes);
  // struct mount_attr: u64 attr_set, attr_clr, propagation, userns_fd.
  const block = Buffer.alloc(32);
  block.writeBigUInt64LE(BigInt(set), 0);
  block.writeBigUInt64LE(BigInt(clear), 8);
  const { propagation } = attributes;
  block.writeBigUInt64LE(BigInt(propagation === undefined ? 0 : mountFlags[propagation]), 16);
  const flags = (path === '' ? atEmptyPath : 0) | (attributes.recursive ? atRecursive : 0);
  const folder = path === '' ? fd : atCurrentFolder;
  if (mountSetattr(mountSetattrNumber, folder, path, flags, block, block.length) < 0) {
    throw systemError('mount_setattr', label);
  }
}

/** Changes a mount in place, e.g. `{ readOnly: true }` or `{ propagation: 'private', recursive: true }`. mount_setattr(2) */
export function setMountAttributes(target: string, attributes: MountAttributes): void {
  setAttributes(-1, target, target, attributes);
}

/**
 * Shows `source` (folder or file) at `target` too. The attributes hold from the first instant: there is no moment at which
 * a read-only bind can be written. open_tree(2), mount_setattr(2), move_mount(2)
 */
export function bindMount(source: string, target: string, attributes: MountAttributes = {}): void {
  const flags = openTreeClone | openTreeCloexec | (attributes.recursive ? atRecursive : 0);
  const fd = openTree(openTreeNumber, atCurrentFolder, source, flags);
  if (fd < 0) throw systemError('open_tree', source);
  try {
    const { set, clear } = attributeMasks(attributes);
    if (set !== 0 || clear !== 0 || attributes.propagation !== undefined) {
      setAttributes(fd, '', source, attributes);
    }
    attachMount(fd, target);
  } finally {
    closeSync(fd);
  }
}
