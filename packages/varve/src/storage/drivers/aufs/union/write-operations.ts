import { constants, fdatasyncSync, fsyncSync, writeSync } from 'node:fs';
import {
  check,
  close,
  errno,
  fallocate,
  fchmodat,
  getXattr,
  makeDevice,
  openat,
  pathBelow,
  removeXattr,
  setXattr,
  statAt,
  statFd,
  type TimeSpec,
  type XattrTarget,
} from '../../../../linux/index.ts';
import { attributeBits, killFlags, renameFlags, sizes } from '../fuse/protocol.ts';
import { decodeDevice, type Reply } from '../fuse/reply.ts';
import type { Request } from '../fuse/request.ts';
import type { Operations } from '../fuse/serve.ts';
import { type AttributeChange, changeAttributes, targetOf, utimeNow } from './attribute-changes.ts';
import { type Maker, NameChanges } from './changes.ts';
import { bytes } from './names.ts';
import type { FileNode, Place, UnionNode } from './node.ts';
import { clearSetId } from './open-files.ts';
import { type Context, replyOpen } from './read-operations.ts';
import type { WritableBranch } from './writable-branch.ts';

const setGroup = 0o2000;
/** XATTR_CREATE and XATTR_REPLACE of setxattr(2). */
const xattrFlags = { create: 1, replace: 2 } as const;

/** Operations that write to the topmost branch. */
export function writeOperations(context: Context, branch: WritableBranch): Operations {
  const { union, files } = context;
  const changes = new NameChanges(union, branch);
  const place = (folder: number, name: string): Place => ({ folder: context.folder(folder), name });
  const makerOf = ({ uid, gid }: Request, umask: number): Maker => ({ uid, gid, umask });

  function writableTarget(node: UnionNode): XattrTarget {
    const target = targetOf(union, branch, node);
    return target.name === undefined ? target.fd : pathBelow(target.dirfd, target.name);
  }

  /** A file that somebody made since the kernel looked. */
  function openExisting({ folder, name }: Place, request: Request, reply: Reply): number {
    const found = union.find(folder, name);
    const node = found && union.node(folder, name, found);
    if (node?.kind !== 'file') return -errno.EEXIST;
    const opened = files.open(node, request.u32(0), (request.u32(12) & killFlags.open) !== 0);
    if (opened < 0) return opened;
    const size = context.entry(reply, folder, name);
    return size < 0 ? size : size + replyOpen(reply, sizes.entry, node);
  }

  return {
    setattr(request, reply) {
      const node = context.node(request.node);
      const done = changeAttributes(union, branch, node, readChange(request));
      return done < 0 ? done : reply.attributes(context.attributes(node));
    },
    symlink(request, reply) {
      const [name, target] = request.names(0);
      const at = place(request.node, name);
      const made = changes.makeLink(at, makerOf(request, 0), target);
      return typeof made === 'number' ? made : context.entry(reply, at.folder, name, made);
    },
    mknod(request, reply) {
      const name = request.name(16);
      const at = place(request.node, name);
      const { major, minor } = decodeDevice(request.u32(4));
      const device = makeDevice(major, minor);
      const made = changes.makeSpecial(at, makerOf(request, request.u32(8)), request.u32(0), device);
      return typeof made === 'number' ? made : context.entry(reply, at.folder, name, made);
    },
    mkdir(request, reply) {
      const name = request.name(8);
      const at = place(request.node, name);
      const made = changes.makeFolder(at, makerOf(request, request.u32(4)), request.u32(0));
      return typeof made === 'number' ? made : context.entry(reply, at.folder, name, made);
    },
    create(request, reply) {
      const name = request.name(16);
      const at = place(request.node, name);
      const flags = request.u32(0);
      let descriptor = -1;
      const made = changes.make(at, makerOf(request, request.u32(8)), (fd, base) => {
        const create = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
        descriptor = openat(fd, base, create, request.u32(4) & 0o7777);
        return descriptor;
      });
      if (made === -errno.EEXIST && (flags & constants.O_EXCL) === 0) return openExisting(at, request, reply);
      if (typeof made === 'number') return made;
      const node = union.node(at.folder, name, made) as FileNode;
      files.adopt(node, descriptor, flags);
      return context.entry(reply, at.folder, name, made) + replyOpen(reply, sizes.entry, node);
    },
    tmpfile(request, reply) {
      const maker = makerOf(request, request.u32(8));
      const fd = changes.makeNameless(context.folder(request.node), maker, request.u32(4) & 0o7777);
      const stat = fd < 0 ? fd : statFd(fd);
      if (typeof stat === 'number') return stat;
      const node = union.nameless(stat);
      files.adopt(node, fd, request.u32(0));
      const size = reply.entry(0, node.id, context.attributes(node));
      node.lookups++;
      return size + replyOpen(reply, size, node);
    },
    link(request, reply) {
      const name = request.name(8);
      const at = place(request.node, name);
      const linked = changes.link(context.file(request.u64(0)), at);
      return linked < 0 ? linked : context.entry(reply, at.folder, name);
    },
    unlink: (request) => changes.unlink(place(request.node, request.name(0))),
    rmdir: (request) => changes.rmdir(place(request.node, request.name(0))),
    rename(request) {
      const [from, to] = request.names(8);
      const flags = { noReplace: false, exchange: false };
      return changes.rename(place(request.node, from), place(request.u64(0), to), flags);
    },
    rename2(request) {
      const [from, to] = request.names(16);
      const flags = request.u32(8);
      if ((flags & ~(renameFlags.noReplace | renameFlags.exchange)) !== 0) return -errno.EINVAL;
      return changes.rename(place(request.node, from), place(request.u64(0), to), {
        noReplace: (flags & renameFlags.noReplace) !== 0,
        exchange: (flags & renameFlags.exchange) !== 0,
      });
    },
    write(request, reply) {
      const fd = context.descriptor(request.u64(0));
      if ((request.u32(20) & killFlags.write) !== 0) clearSetId(fd);
      const length = request.u32(16);
      const offset = request.u64(8);
      const data = request.bytes(40, length);
      let done = 0;
      while (done < length) done += writeSync(fd, data, done, length - done, offset + done);
      reply.u64(0, done);
      return 8;
    },
    fallocate: (request) =>
      fallocate(context.descriptor(request.u64(0)), request.u64(8), request.u64(16), request.u32(24)),
    fsync(request) {
      const fd = context.descriptor(request.u64(0));
      if ((request.u32(8) & 1) !== 0) fdatasyncSync(fd);
      else fsyncSync(fd);
      return 0;
    },
    fsyncdir(request) {
      const own = union.partOf(context.folder(request.node), 0);
      if (!own) return 0;
      const fd = check(openat(own.fd, '.', constants.O_RDONLY | constants.O_DIRECTORY), 'openat', '.');
      try {
        fsyncSync(fd);
      } finally {
        close(fd);
      }
      return 0;
    },
    setxattr(request) {
      const node = context.node(request.node);
      const name = request.name(16);
      const size = request.u32(0);
      const flags = request.u32(4);
      const there = flags === 0 ? undefined : getXattr(context.xattrTarget(node), bytes(name));
      if ((flags & xattrFlags.create) !== 0 && there instanceof Buffer) return -errno.EEXIST;
      if ((flags & xattrFlags.replace) !== 0 && !(there instanceof Buffer)) return -errno.ENODATA;
      const value = Buffer.from(request.bytes(16 + name.length + 1, size));
      const done = setXattr(writableTarget(node), bytes(name), value);
      if (done >= 0 && (request.u32(8) & killFlags.acl) !== 0) clearSetGroup(context, branch, node);
      return done;
    },
    removexattr(request) {
      const node = context.node(request.node);
      const name = bytes(request.name(0));
      if (!(getXattr(context.xattrTarget(node), name) instanceof Buffer)) return -errno.ENODATA;
      return removeXattr(writableTarget(node), name);
    },
  };
}

/** An access ACL set by one who is not of the group takes the set-group-id bit away. */
function clearSetGroup({ union }: Context, branch: WritableBranch, node: UnionNode): void {
  const target = targetOf(union, branch, node);
  if (target.name === undefined) return;
  const stat = statAt(target.dirfd, target.name);
  if (typeof stat === 'number' || (stat.mode & setGroup) === 0) return;
  check(fchmodat(target.dirfd, target.name, stat.mode & 0o7777 & ~setGroup), 'fchmodat', target.name);
}

/** struct fuse_setattr_in. */
function readChange(request: Request): AttributeChange {
  const valid = request.u32(0);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  const time = (bit: number, nowBit: number, seconds: number, nanoseconds: number): TimeSpec | undefined => {
    if (has(nowBit)) return { seconds: 0, nanoseconds: utimeNow };
    return has(bit) ? { seconds: request.i64(seconds), nanoseconds: request.u32(nanoseconds) } : undefined;
  };
  return {
    uid: has(attributeBits.uid) ? request.u32(76) : undefined,
    gid: has(attributeBits.gid) ? request.u32(80) : undefined,
    mode: has(attributeBits.mode) ? request.u32(68) & 0o7777 : undefined,
    size: has(attributeBits.size) ? request.u64(16) : undefined,
    atime: time(attributeBits.atime, attributeBits.atimeNow, 32, 56),
    mtime: time(attributeBits.mtime, attributeBits.mtimeNow, 40, 60),
    killSetId: has(attributeBits.killSetId),
  };
}
