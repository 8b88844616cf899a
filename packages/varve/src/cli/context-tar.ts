import { createReadStream, lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { VarveError } from '../base/index.ts';
import { type FolderMatch, IgnoreMatcher, readIgnoreFile } from '../dockerfile/index.ts';
import { encodeEnd, encodeHeader, paddingAfter, type TarEntryType } from '../layer/index.ts';

const none = Buffer.alloc(0);

/** A file to be sent: where it is, and its name in the archive. */
interface Found {
  readonly path: string;
  readonly name: string;
  readonly stat: Stats;
}

function kindOf(stat: Stats): TarEntryType | undefined {
  if (stat.isFile()) return 'file';
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFIFO()) return 'fifo';
  return undefined;
}

/** Rules of the context's ignore file, which never hide the files the engine itself needs (docker/cli build). */
function ignoreRules(folder: string, dockerfile: string): IgnoreMatcher {
  for (const name of [`${dockerfile}.dockerignore`, '.dockerignore']) {
    let text: string;
    try {
      text = readFileSync(join(folder, name), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw error;
    }
    return new IgnoreMatcher([...readIgnoreFile(text), `!${dockerfile}`, `!${name}`]);
  }
  return new IgnoreMatcher([]);
}

function* walk(
  folder: string,
  prefix: string,
  ignore: IgnoreMatcher,
  inherited: FolderMatch | undefined,
): Generator<Found> {
  for (const base of readdirSync(folder).sort()) {
    const path = join(folder, base);
    const name = prefix === '' ? base : `${prefix}/${base}`;
    const { ignored, match } = ignore.match(name, inherited);
    const stat = lstatSync(path);
    if (!ignored) yield { path, name, stat };
    if (stat.isDirectory() && (!ignored || ignore.mayKeepInside(name)))
      yield* walk(path, name, ignore, match);
  }
}

async function* archive(files: Iterable<Found>, keepOwner: boolean): AsyncGenerator<Buffer> {
  for (const { path, name, stat } of files) {
    const type = kindOf(stat);
    if (type === undefined) continue;
    const size = type === 'file' ? stat.size : 0;
    const seconds = Math.floor(stat.mtimeMs / 1000);
    yield encodeHeader({
      type,
      name: Buffer.from(name),
      linkName: type === 'symlink' ? Buffer.from(readlinkSync(path)) : none,
      mode: stat.mode & 0o7777,
      uid: keepOwner ? stat.uid : 0,
      gid: keepOwner ? stat.gid : 0,
      userName: none,
      groupName: none,
      size,
      mtime: { seconds, nanoseconds: 0 },
      deviceMajor: 0,
      deviceMinor: 0,
      xattrs: [],
    });
    if (size === 0) continue;
    let sent = 0;
    for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: 1 << 20 })) {
      sent += (chunk as Buffer).length;
      yield chunk as Buffer;
    }
    if (sent !== size)
      throw new VarveError('conflict', 'FILE_CHANGED', `${path} shrank while it was read`, { subject: path });
    yield Buffer.alloc(paddingAfter(size));
  }
  yield encodeEnd();
}

function* fileEntries(files: ReadonlyMap<string, Buffer>): Generator<Buffer> {
  for (const [name, bytes] of files) {
    yield encodeHeader({
      type: 'file',
      name: Buffer.from(name),
      linkName: none,
      mode: 0o644,
      uid: 0,
      gid: 0,
      userName: none,
      groupName: none,
      size: bytes.length,
      mtime: { seconds: 0, nanoseconds: 0 },
      deviceMajor: 0,
      deviceMinor: 0,
      xattrs: [],
    });
    yield bytes;
    yield Buffer.alloc(paddingAfter(bytes.length));
  }
}

/** A tar of files in memory. */
export function fileTar(files: ReadonlyMap<string, Buffer>): Readable {
  return Readable.from([...fileEntries(files), encodeEnd()], { objectMode: false });
}

/**
 * The build context in a folder as a tar: owners are root's, `.dockerignore` is heeded, sockets and devices stay out.
 * @param added files that stand in the tar instead of, or beside, those of the folder.
 */
export function contextTar(
  folder: string,
  dockerfile: string,
  added: ReadonlyMap<string, Buffer> = new Map(),
): Readable {
  const ignore = ignoreRules(folder, dockerfile);
  const all = async function* (): AsyncGenerator<Buffer> {
    yield* fileEntries(added);
    const found = walk(folder, '', ignore, undefined).filter(({ name }) => !added.has(name));
    yield* archive(found, false);
  };
  return Readable.from(all(), { objectMode: false });
}

/**
 * A file or folder as a tar whose top entry is `name`; an empty name puts a folder's entries at the top.
 */
export function pathTar(
  path: string,
  name: string,
  options: { readonly stat: Stats; readonly keepOwner: boolean },
): Readable {
  const files = function* (): Generator<Found> {
    if (name !== '') yield { path, name, stat: options.stat };
    if (options.stat.isDirectory()) yield* walk(path, name, new IgnoreMatcher([]), undefined);
  };
  return Readable.from(archive(files(), options.keepOwner), { objectMode: false });
}
