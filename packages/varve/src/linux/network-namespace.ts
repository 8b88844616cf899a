import { closeSync, openSync, rmSync, statfsSync } from 'node:fs';
import { VarveError } from '../base/index.ts';
import { declare, errnoName, lastErrno, systemError } from './libc.ts';

/**
 * Network namespaces kept by a file (network_namespaces(7)).
 *
 * A namespace belongs to a thread, and JavaScript with its synchronous calls runs on one thread; so a *synchronous*
 * stretch of code may step into another namespace and back. Nothing may be awaited in between, and if the way back
 * fails the process aborts: a daemon that goes on in a container's network would be worse than a dead one.
 */

const unshare = declare<(flags: number) => number>('int unshare(int flags)');
const setns = declare<(fd: number, kind: number) => number>('int setns(int fd, int nstype)');
const mount = declare<(source: string, target: string, type: string, flags: number, data: null) => number>(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, void *data)',
);
const umount2 = declare<(target: string, flags: number) => number>(
  'int umount2(const char *target, int flags)',
);

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const NSFS_MAGIC = 0x6e736673;
const OWN = '/proc/thread-self/ns/net';

function andBack<T>(work: (home: number) => T): T {
  const home = openSync(OWN, 'r');
  try {
    const result = work(home);
    if (result instanceof Promise) {
      throw new VarveError('internal', 'ASYNC_IN_NAMESPACE', 'asynchronous work inside a network namespace');
    }
    return result;
  } finally {
    if (setns(home, CLONE_NEWNET) !== 0) process.abort();
    closeSync(home);
  }
}

/**
 * Runs `work` in the network namespace of `path` and returns to our own. Sockets made by system calls inside stay
 * there for their life; children started inside stay there too. `work` must be synchronous.
 * @throws VarveError when `path` is no network namespace.
 */
export function insideNetworkNamespace<T>(path: string, work: () => T): T {
  const target = openSync(path, 'r');
  try {
    return andBack(() => {
      if (setns(target, CLONE_NEWNET) !== 0) throw systemError('setns', path);
      return work();
    });
  } finally {
    closeSync(target);
  }
}

/**
 * Makes a new network namespace that lives as long as the file at `path`, about 1 ms.
 * @param prepare runs inside before the file names the namespace: for sysctls and the loopback device.
 * @throws VarveError `conflict` when the file exists.
 */
export function createNetworkNamespace(path: string, prepare: () => void = () => undefined): void {
  try {
    closeSync(openSync(path, 'wx', 0o444));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new VarveError('conflict', 'NAMESPACE_EXISTS', `network namespace "${path}" exists`, {
      subject: path,
    });
  }
  try {
    andBack(() => {
      if (unshare(CLONE_NEWNET) !== 0) throw systemError('unshare', path);
      prepare();
      if (mount(OWN, path, 'none', MS_BIND, null) !== 0) throw systemError('mount', path);
    });
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  }
}

/** True when `path` names a namespace; a plain file left by a crash or a reboot does not. */
export function isNamespaceFile(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** Takes the file away; the namespace ends with its last process. Nothing happens when it is not there. */
export function removeNetworkNamespace(path: string): void {
  if (isNamespaceFile(path) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) !== 0) {
    const errno = lastErrno();
    if (errnoName(errno) !== 'EINVAL') throw systemError('umount2', path, errno);
  }
  rmSync(path, { force: true });
}
