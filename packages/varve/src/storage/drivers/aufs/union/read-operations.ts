import { readSync, statfsSync } from 'node:fs';
import {
  check,
  errno,
  type FileStat,
  getXattr,
  listXattrs,
  pathBelow,
  readlinkat,
  seekData,
  seekHole,
  type XattrTarget,
} from '../../../../linux/index.ts';
import { openReplyFlags, sizes } from '../fuse/protocol.ts';
import type { Attributes, Reply } from '../fuse/reply.ts';
import type { Operations } from '../fuse/serve.ts';
import { listMerged, type ListedName } from './list-folder.ts';
import { bytes, isReserved } from './names.ts';
import type { FileNode, FolderNode, UnionNode } from './node.ts';
import type { OpenFiles } from './open-files.ts';
import type { Found, Union } from './union.ts';

/** Seconds for which the kernel need not ask for attributes again: only requests through the mount change them. */
const attributeSeconds = 3600;

/** Attribute of the root that tells what the server did so far, as JSON. It is not listed. */
export const statisticsAttribute = 'trusted.varve.union';

/** What operations of a union share. */
export class Context {
  readonly union: Union;
  readonly files: OpenFiles;
  readonly statistics: () => object;

  constructor(union: Union, files: OpenFiles, statistics: () => object) {
    this.union = union;
    this.files = files;
    this.statistics = statistics;
  }

  /** @throws ESTALE for a node that the kernel was not told of. */
  node(id: number): UnionNode {
    const node = this.union.nodes.get(id);
    if (!node) check(-errno.ESTALE, 'find', `node ${id}`);
    return node as UnionNode;
  }

  folder(id: number): FolderNode {
    const node = this.node(id);
    if (node.kind !== 'folder') check(-errno.ENOTDIR, 'find', `folder ${id}`);
    return node as FolderNode;
  }

  file(id: number): FileNode {
    const node = this.node(id);
    if (node.kind !== 'file') check(-errno.EISDIR, 'find', `file ${id}`);
    return node as FileNode;
  }

  /** The descriptor of a file that the kernel has open. */
  descriptor(id: number): number {
    const node = this.file(id);
    return node.open?.fd ?? check(-errno.EBADF, 'find', `open file ${id}`);
  }

  /** @param known what the node is, where that is known. */
  attributes(node: UnionNode, known?: FileStat): Attributes {
    const stat = known ?? this.union.stat(node);
    if (typeof stat === 'number') {
      check(stat, 'statx', `node ${node.id}`);
      throw new Error('unreachable');
    }
    // While the kernel writes past us, only the file itself knows its times.
    const file = node.kind === 'file' ? node.open : undefined;
    const validSeconds = file && file.backing > 0 && file.writers > 0 ? 0 : attributeSeconds;
    return { stat, inode: node.inode, nlink: this.union.nlink(node, stat), validSeconds };
  }

  /** Answers with a name that is there; the kernel remembers the node once more. */
  entry(reply: Reply, folder: FolderNode, name: string, known?: Found): number {
    const found = known ?? this.union.find(folder, name);
    if (!found) return -errno.ENOENT;
    const node = this.union.node(folder, name, found);
    const size = reply.entry(0, node.id, this.attributes(node, found.stat));
    node.lookups++;
    return size;
  }

  /** A node for calls that take a path or a descriptor. */
  xattrTarget(node: UnionNode): XattrTarget {
    if (node.kind === 'folder') {
      const [top] = this.union.parts(node);
      return pathBelow(top?.fd ?? check(-errno.ENOENT, 'find', 'a removed folder'), '.');
    }
    const [place] = node.places;
    if (!place) return this.descriptor(node.id);
    const part = this.union.partOf(place.folder, node.branch);
    return pathBelow(part?.fd ?? check(-errno.ESTALE, 'find', 'a file'), bytes(place.name));
  }
}

/** Operations that change nothing in a branch. */
export function readOperations(context: Context): Operations {
  const { union, files } = context;
  const folders = new Map<number, { readonly folder: FolderNode; names: ListedName[] | undefined }>();
  let nextHandle = 1;

  function readFolder(handle: number, start: number, room: number, reply: Reply, plus: boolean): number {
    const open = folders.get(handle);
    if (!open) return -errno.EBADF;
    if (start === 0) open.names = undefined;
    open.names ??= [{ name: '.', type: 4 }, { name: '..', type: 4 }, ...listMerged(union, open.folder)];
    const { names, folder } = open;
    const head = plus ? sizes.entry : 0;
    let at = 0;
    for (let index = start; index < names.length; index++) {
      const { name, type } = names[index] as ListedName;
      const size = head + ((sizes.folderEntry + name.length + 7) & ~7);
      if (at + size > room) break;
      reply.clear(at, size);
      const found = index < 2 ? undefined : union.find(folder, name);
      // Deleted since the folder was listed.
      if (index >= 2 && !found) continue;
      const node = found && union.node(folder, name, found);
      if (plus && node) {
        reply.entry(at, node.id, context.attributes(node, found.stat));
        node.lookups++;
      }
      const own = node?.inode ?? (name === '.' ? folder.inode : (folder.place?.folder ?? folder).inode);
      reply.u32(at + head, Number(own & 0xffff_ffffn));
      reply.u32(at + head + 4, Number(own >> 32n));
      reply.u64(at + head + 8, index + 1);
      reply.u32(at + head + 16, name.length);
      reply.u32(at + head + 20, type);
      reply.bytes(at + head + sizes.folderEntry, bytes(name));
      at += size;
    }
    return at;
  }

  /** A value, or its length where no room is given. */
  function sized(value: Buffer, room: number, reply: Reply): number {
    if (room === 0) {
      reply.u64(0, value.length);
      return 8;
    }
    if (value.length > room) return -errno.ERANGE;
    reply.bytes(0, value);
    return value.length;
  }

  return {
    lookup(request, reply) {
      const folder = context.folder(request.node);
      const name = request.name(0);
      if (isReserved(name)) return -errno.ENOENT;
      const size = context.entry(reply, folder, name);
      return size === -errno.ENOENT ? reply.noEntry() : size;
    },
    forget(request) {
      union.forget(request.node, request.u64(0));
      return 0;
    },
    batchForget(request) {
      const count = request.u32(0);
      for (let i = 0; i < count; i++) union.forget(request.u64(8 + i * 16), request.u64(16 + i * 16));
      return 0;
    },
    getattr: (request, reply) => reply.attributes(context.attributes(context.node(request.node))),
    readlink(request, reply) {
      const node = context.file(request.node);
      const [place] = node.places;
      const part = place && union.partOf(place.folder, node.branch);
      if (!place || !part) return -errno.ESTALE;
      const target = readlinkat(part.fd, bytes(place.name));
      if (typeof target === 'number') return target;
      reply.bytes(0, target);
      return target.length;
    },
    open(request, reply) {
      const node = context.file(request.node);
      const done = files.open(node, request.u32(0), (request.u32(4) & 1) !== 0);
      return done < 0 ? done : replyOpen(reply, 0, node);
    },
    read(request, reply) {
      const fd = context.descriptor(request.u64(0));
      return readSync(fd, reply.buffer, sizes.outHeader, request.u32(16), request.u64(8));
    },
    release(request) {
      const node = union.nodes.get(request.u64(0));
      if (node?.kind === 'file') files.release(node, request.u32(8));
      return 0;
    },
    lseek(request, reply) {
      const fd = context.descriptor(request.u64(0));
      const whence = request.u32(16);
      if (whence !== 3 && whence !== 4) return -errno.EINVAL;
      const found = (whence === 3 ? seekData : seekHole)(fd, request.i64(8));
      if (found < 0) return found;
      reply.u64(0, found);
      return 8;
    },
    statfs(_request, reply) {
      const { fd } = union.parts(union.root)[0] as { readonly fd: number };
      const stat = statfsSync(`/proc/self/fd/${fd}`);
      reply.clear(0, sizes.statfs);
      const { blocks, bfree, bavail, files: inodes, ffree, bsize } = stat;
      [blocks, bfree, bavail, inodes, ffree].forEach((value, index) => reply.u64(index * 8, value));
      reply.u32(40, bsize);
      reply.u32(44, 255);
      reply.u32(48, bsize);
      return sizes.statfs;
    },
    opendir(request, reply) {
      const folder = context.folder(request.node);
      const handle = nextHandle++;
      folders.set(handle, { folder, names: undefined });
      return reply.open(0, handle, openReplyFlags.keepCache | openReplyFlags.cacheFolder);
    },
    readdir: (request, reply) => readFolder(request.u64(0), request.u64(8), request.u32(16), reply, false),
    readdirplus: (request, reply) => readFolder(request.u64(0), request.u64(8), request.u32(16), reply, true),
    releasedir(request) {
      folders.delete(request.u64(0));
      return 0;
    },
    getxattr(request, reply) {
      const node = context.node(request.node);
      const name = request.name(8);
      const value =
        node === union.root && name === statisticsAttribute
          ? Buffer.from(JSON.stringify(context.statistics()))
          : getXattr(context.xattrTarget(node), bytes(name));
      if (value === undefined) return -errno.ENODATA;
      return typeof value === 'number' ? value : sized(value, request.u32(0), reply);
    },
    listxattr(request, reply) {
      const names = listXattrs(context.xattrTarget(context.node(request.node)));
      if (typeof names === 'number') return names;
      const zero = Buffer.alloc(1);
      return sized(Buffer.concat(names.flatMap((name) => [name, zero])), request.u32(0), reply);
    },
  };
}

/** struct fuse_open_out for a file that is open now. */
export function replyOpen(reply: Reply, offset: number, node: FileNode): number {
  const backing = node.open?.backing ?? 0;
  const flags = backing > 0 ? openReplyFlags.passthrough : openReplyFlags.keepCache;
  return reply.open(offset, node.id, flags, backing);
}
