import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { extractTar, packTree, plainStream } from '../layer/index.ts';
import { fileType } from '../linux/index.ts';
import { resolveRootfsUser } from '../runtime/index.ts';
import type { Container } from './container.ts';
import { ContainerTree } from './container-tree.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { goFileMode } from './go-file-mode.ts';
import { formatNanoseconds } from './time.ts';

/** What `docker cp` needs to know of a path before it copies. */
export interface PathStat {
  readonly name: string;
  readonly size: number;
  /** Go's os.FileMode. */
  readonly mode: number;
  /** RFC 3339. */
  readonly mtime: string;
  /** Where a link leads in the container, resolved; empty for what is no link. */
  readonly linkTarget: string;
}

/** Runs `work` on the container's tree, mounted for so long. */
async function withTree<T>(
  core: EngineCore,
  container: Container,
  work: (tree: ContainerTree, rootfs: string) => Promise<T> | T,
): Promise<{ readonly value: T; readonly release: () => Promise<void> }> {
  const { record } = container;
  const rootfs = await core.driver.mount(record.id);
  const release = (): Promise<void> => core.driver.unmount(record.id);
  try {
    const tree = new ContainerTree({
      rootfs,
      readOnlyRootfs: record.hostConfig.ReadonlyRootfs,
      mounts: record.mounts,
    });
    return { value: await work(tree, rootfs), release };
  } catch (error) {
    await release();
    throw error;
  }
}

function missing(path: string, name: string): VarveError {
  return new VarveError('not-found', 'NO_SUCH_PATH', `Could not find the file ${path} in container ${name}`, {
    subject: path,
  });
}

function followsLast(path: string): boolean {
  return path.endsWith('/') || path.endsWith('/.');
}

function statOf(tree: ContainerTree, path: string, name: string): PathStat {
  try {
    const place = tree.locate(path, followsLast(path));
    const stat = tree.stat(place);
    if (!stat) throw missing(path, name);
    const isLink = (stat.mode & fileType.mask) === fileType.symlink;
    return {
      name: posix.basename(posix.join('/', path)) || '/',
      size: stat.size,
      mode: goFileMode(stat.mode),
      mtime: formatNanoseconds(BigInt(stat.mtime.seconds) * 1_000_000_000n + BigInt(stat.mtime.nanoseconds)),
      linkTarget: isLink ? linkTarget(tree, path) : '',
    };
  } catch (error) {
    if (VarveError.is(error) && error.code === 'NO_SUCH_PATH') throw missing(path, name);
    throw error;
  }
}

function linkTarget(tree: ContainerTree, path: string): string {
  try {
    return tree.locate(path, true).resolved;
  } catch {
    // A link to nowhere leads where its words say.
    return tree.readLink(tree.locate(path, false));
  }
}

/** @throws VarveError `not-found` in Docker's words. */
export async function statPath(core: EngineCore, nameOrId: string, path: string): Promise<PathStat> {
  const container = core.containers.resolve(nameOrId);
  const { value, release } = await withTree(core, container, (tree) => statOf(tree, path, nameOrId));
  await release();
  return value;
}

/**
 * A file or folder as a tar, named by the last part of its path (`/a/.`: the folder's contents under `./`). A link at the
 * end is copied as a link.
 * @throws VarveError `not-found`.
 */
export async function copyFrom(
  core: EngineCore,
  nameOrId: string,
  path: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<{ readonly stat: PathStat; readonly archive: Readable }> {
  const container = core.containers.resolve(nameOrId);
  const { value, release } = await withTree(core, container, (tree) => {
    const stat = statOf(tree, path, nameOrId);
    const place = tree.locate(path, followsLast(path));
    const whole = path.endsWith('/.') || place.resolved === '/';
    const name = whole ? '.' : posix.basename(posix.join('/', path));
    return { stat, archive: packTree(place.root, [{ path: place.path, name }], options) };
  });
  const { stat, archive } = value;
  archive.once('close', () => {
    release().catch((error: unknown) =>
      core.log('warn', 'could not unmount after a copy', { error: String(error) }),
    );
  });
  publishContainer(core, container, 'archive-path');
  return { stat, archive };
}

export interface CopyToOptions {
  /** A folder does not replace a file, nor a file a folder. */
  readonly noOverwriteDirNonDir?: boolean;
  /** Give everything to the container's user instead of the archive's owners. */
  readonly copyUidGid?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Unpacks a tar, in any compression, into a folder of the container.
 * @throws VarveError `not-found` without the folder, `invalid` when it is none, `forbidden` when it cannot be written to.
 */
export async function copyTo(
  core: EngineCore,
  nameOrId: string,
  path: string,
  archive: Readable,
  options: CopyToOptions = {},
): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  const { release } = await withTree(core, container, async (tree, rootfs) => {
    const place = locateFolder(tree, path, nameOrId);
    if (place.readOnly) {
      const what = place.root === container.rootfs ? 'container rootfs' : 'mounted volume';
      throw new VarveError(
        'forbidden',
        'READ_ONLY',
        `${container.record.hostConfig.ReadonlyRootfs ? 'container rootfs' : what} is marked read-only`,
        { subject: path },
      );
    }
    const owner = options.copyUidGid
      ? resolveRootfsUser(rootfs, container.record.config.User ?? '', [])
      : undefined;
    await extractTar(
      plainStream(archive),
      {
        root: place.root,
        path: place.path,
        ...(options.noOverwriteDirNonDir ? { noOverwriteDirNonDir: true } : {}),
        ...(owner ? { owner } : {}),
      },
      options.signal ? { signal: options.signal } : {},
    );
  });
  await release();
  publishContainer(core, container, 'extract-to-dir');
}

function locateFolder(tree: ContainerTree, path: string, name: string): ReturnType<ContainerTree['locate']> {
  try {
    const place = tree.locate(path, true);
    const stat = tree.stat(place);
    if (!stat) throw missing(path, name);
    if ((stat.mode & fileType.mask) !== fileType.directory) {
      throw new VarveError('invalid', 'NOT_A_FOLDER', 'extraction point is not a directory', {
        subject: path,
      });
    }
    return place;
  } catch (error) {
    if (VarveError.is(error) && error.code === 'NO_SUCH_PATH') throw missing(path, name);
    throw error;
  }
}
