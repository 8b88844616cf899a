import { closeSync, constants, openSync, statSync } from 'node:fs';
import { basename, dirname, posix } from 'node:path';
import { VarveError } from '../base/index.ts';
import { close, errno, type FileStat, fileType, openAt2Folder, readlinkat, statAt } from './confined.ts';
import { subpathOf } from './subpaths.ts';
import type { MountPoint } from './types.ts';

/** The kernel's own limit on links that lead to links (path_resolution(7)). */
const maximumLinks = 40;

/** A file of a container as the host reaches it: a folder nothing may leave, and the way inside it. */
export interface Place {
  readonly root: string;
  /** Inside `root`, without a leading slash; empty for the root itself. */
  readonly path: string;
  /** The path in the container, all links on the way resolved. */
  readonly resolved: string;
  readonly readOnly: boolean;
}

interface Branch {
  readonly destination: string;
  readonly root: string;
  /** Way from `root` to what is mounted: a file's name for a file bind, else empty. */
  readonly prefix: string;
  readonly readOnly: boolean;
}

function branchOf(mount: MountPoint): Branch[] {
  if (mount.Type === 'tmpfs') return [];
  const subpath = subpathOf(mount);
  if (subpath !== undefined) {
    // The volume is the root that nothing leaves; the way to the part goes by its links, inside it.
    return [{ destination: mount.Destination, root: mount.Source, prefix: subpath, readOnly: !mount.RW }];
  }
  const source = mount.Source;
  const folder = statSync(source, { throwIfNoEntry: false })?.isDirectory() ?? true;
  return [
    {
      destination: mount.Destination,
      root: folder ? source : dirname(source),
      prefix: folder ? '' : basename(source),
      readOnly: !mount.RW,
    },
  ];
}

function depth(branch: Branch): number {
  return branch.destination.split('/').length;
}

/**
 * A container's file system seen from the host: its root with volumes and binds in their places, whether it runs or
 * not. Each look-up goes by openat2(2) inside the one folder it concerns, so that links lead nowhere else even while
 * the container changes them. What a running container mounts for itself (tmpfs, /proc) does not show, as in Docker.
 */
export class ContainerTree {
  /** Longest destination first. */
  readonly #branches: Branch[];

  constructor(options: {
    readonly rootfs: string;
    readonly readOnlyRootfs: boolean;
    readonly mounts: readonly MountPoint[];
  }) {
    this.#branches = [
      { destination: '/', root: options.rootfs, prefix: '', readOnly: options.readOnlyRootfs },
    ];
    const byDepth = options.mounts.flatMap(branchOf).sort((a, b) => depth(a) - depth(b));
    for (const branch of byDepth) {
      // Of two at one place the later lies on top.
      this.#branches.unshift({ ...branch, destination: this.#resolveTarget(branch.destination) });
      this.#branches.sort((a, b) => b.destination.length - a.destination.length);
    }
  }

  /** Where a mount really lies: the runtime follows the image's links on the way to it (/var/run is often one). */
  #resolveTarget(destination: string): string {
    if (destination === '/') return '/';
    try {
      return this.locate(destination, true).resolved;
    } catch {
      return posix.join(this.#resolveTarget(dirname(destination)), basename(destination));
    }
  }

  /**
   * Follows a path to where it is.
   * @param followLast whether a link at the very end is followed too.
   * @throws VarveError `not-found` when a part on the way is missing, `invalid` for a loop of links or a file on the way.
   */
  locate(path: string, followLast: boolean): Place {
    let rest = path.split('/').filter((part) => part !== '' && part !== '.');
    let done: string[] = [];
    for (let links = 0; rest.length > 0; ) {
      const [part, ...others] = rest as [string, ...string[]];
      rest = others;
      if (part === '..') {
        done.pop();
        continue;
      }
      const here = [...done, part];
      const last = rest.length === 0;
      const stat = last && !followLast ? undefined : this.stat(this.#place(here));
      if (stat === undefined && !last) throw missing(path);
      const type = stat === undefined ? undefined : stat.mode & fileType.mask;
      if (type === fileType.symlink) {
        if (++links > maximumLinks) {
          throw new VarveError('invalid', 'ELOOP', `too many levels of symbolic links: ${path}`, {
            subject: path,
          });
        }
        const target = this.readLink(this.#place(here));
        if (target.startsWith('/')) done = [];
        rest = [...target.split('/').filter((step) => step !== '' && step !== '.'), ...rest];
        continue;
      }
      if (!last && type !== fileType.directory) {
        throw new VarveError('invalid', 'ENOTDIR', `not a directory: ${path}`, { subject: path });
      }
      done = here;
    }
    return this.#place(done);
  }

  /** The file itself, a link not followed; undefined when there is none. */
  stat(place: Place): FileStat | undefined {
    return this.#inParent(place, (dirfd, name) => {
      const stat = statAt(dirfd, name);
      if (typeof stat !== 'number') return stat;
      if (stat === -errno.ENOENT || stat === -errno.ENOTDIR) return undefined;
      throw new VarveError('internal', 'STAT_FAILED', `cannot look at ${place.resolved}`, {
        data: { errno: -stat },
      });
    });
  }

  readLink(place: Place): string {
    return (
      this.#inParent(place, (dirfd, name) => {
        const target = readlinkat(dirfd, name);
        return typeof target === 'number' ? undefined : target.toString();
      }) ?? ''
    );
  }

  #place(parts: readonly string[]): Place {
    const resolved = `/${parts.join('/')}`;
    const branch = this.#branches.find(
      ({ destination }) =>
        destination === '/' || resolved === destination || resolved.startsWith(`${destination}/`),
    ) as Branch;
    const inside = branch.destination === '/' ? resolved : resolved.slice(branch.destination.length);
    return {
      root: branch.root,
      path: posix.join('/', branch.prefix, inside).slice(1),
      resolved,
      readOnly: branch.readOnly,
    };
  }

  #inParent<T>(place: Place, work: (dirfd: number, name: string) => T | undefined): T | undefined {
    const root = openSync(place.root, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const slash = place.path.lastIndexOf('/');
      if (slash < 0) return work(root, place.path === '' ? '.' : place.path);
      const parent = openAt2Folder(root, place.path.slice(0, slash));
      if (parent < 0) return undefined;
      try {
        return work(parent, place.path.slice(slash + 1));
      } finally {
        close(parent);
      }
    } finally {
      closeSync(root);
    }
  }
}

function missing(path: string): VarveError {
  return new VarveError('not-found', 'NO_SUCH_PATH', `no such file or directory: ${path}`, { subject: path });
}
