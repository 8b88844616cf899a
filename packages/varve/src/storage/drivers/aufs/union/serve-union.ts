import { errno } from '../../../../linux/index.ts';
import { initFlags, initFlags2, maxTransfer, sizes } from '../fuse/protocol.ts';
import { FuseSession, type Operations, type RequestCounts } from '../fuse/serve.ts';
import { OpenFiles } from './open-files.ts';
import { Context, readOperations } from './read-operations.ts';
import { type Branches, Union } from './union.ts';
import { WritableBranch } from './writable-branch.ts';
import { writeOperations } from './write-operations.ts';

export interface UnionOptions extends Branches {
  /** Let the kernel read and write files itself where it can. */
  readonly passthrough: boolean;
}

/** What a union's server did for it so far; the value of the root's attribute `trusted.varve.union`. */
export interface UnionStatistics {
  readonly pid: number;
  readonly passthrough: boolean;
  /** By FUSE's name. */
  readonly requests: RequestCounts;
  /** Files and folders copied up. */
  readonly copies: number;
  /** Nodes the kernel knows. */
  readonly nodes: number;
}

const wanted =
  initFlags.asyncRead |
  initFlags.atomicTruncate |
  initFlags.bigWrites |
  initFlags.dontMask |
  initFlags.readdirplus |
  initFlags.readdirplusAuto |
  initFlags.asyncDirectIo |
  initFlags.parallelFolderOperations |
  initFlags.posixAcl |
  initFlags.maxPages |
  initFlags.cacheLinks |
  initFlags.handleKillPrivileges |
  initFlags.extendedSetxattr |
  initFlags.extended;

/** A union being served. */
export class UnionSession extends FuseSession {
  readonly #union: Union;
  readonly #branch: WritableBranch | undefined;

  private constructor(
    connection: number,
    operations: Operations,
    counts: RequestCounts,
    union: Union,
    branch: WritableBranch | undefined,
  ) {
    super(connection, operations, counts);
    this.#union = union;
    this.#branch = branch;
  }

  /** Opens the branches. @throws VarveError with the errno's name as code. */
  static open(connection: number, options: UnionOptions): UnionSession {
    const union = new Union(options);
    const branch = union.isWritable ? new WritableBranch(union) : undefined;
    const counts: RequestCounts = {};
    const operations = unionOperations(connection, options, union, branch, counts);
    return new UnionSession(connection, operations, counts, union, branch);
  }

  /** Closes all that is open, once the file system is gone. */
  close(): void {
    for (const node of this.#union.nodes.values()) if (node.kind === 'file') node.open?.close();
    this.#branch?.close();
    this.#union.close();
  }
}

function unionOperations(
  connection: number,
  options: UnionOptions,
  union: Union,
  branch: WritableBranch | undefined,
  requests: RequestCounts,
): Operations {
  const files = new OpenFiles(union, branch, connection);
  const statistics = (): UnionStatistics => ({
    pid: process.pid,
    passthrough: files.passthrough,
    requests,
    copies: branch?.copies ?? 0,
    nodes: union.nodes.size,
  });
  const context = new Context(union, files, statistics);
  return {
    ...readOperations(context),
    ...(branch ? writeOperations(context, branch) : readOnlyOperations),
    init(request, reply) {
      const flags = request.u32(12);
      const flags2 = (flags & initFlags.extended) === 0 ? 0 : request.u32(16);
      const passes = options.passthrough && (flags2 & initFlags2.passthrough) !== 0;
      files.passthrough = passes;
      reply.clear(0, sizes.initReply);
      reply.u32(0, 7);
      reply.u32(4, Math.min(request.u32(4), 41));
      reply.u32(8, request.u32(8));
      reply.u32(12, (wanted & flags) >>> 0);
      reply.u16(16, 64);
      reply.u16(18, 48);
      reply.u32(20, maxTransfer);
      reply.u32(24, 1);
      reply.u16(28, maxTransfer / 4096);
      reply.u32(32, passes ? initFlags2.passthrough : 0);
      // How deep file systems may be stacked below: a backing file lies on none that is stacked itself.
      reply.u32(36, passes ? 1 : 0);
      return sizes.initReply;
    },
  };
}

const refuse = (): number => -errno.EROFS;

/** The kernel asks for these even though the mount is read-only when a second mount of it is not. */
const readOnlyOperations: Operations = {
  setattr: refuse,
  symlink: refuse,
  mknod: refuse,
  mkdir: refuse,
  create: refuse,
  link: refuse,
  unlink: refuse,
  rmdir: refuse,
  rename: refuse,
  rename2: refuse,
  write: refuse,
  fallocate: refuse,
  setxattr: refuse,
  removexattr: refuse,
};
