import { lstatSync, mkdirSync, readlinkSync, statSync } from 'node:fs';
import { basename, dirname, join, posix, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { type Engine, EngineError, type PathStat } from '@varve/client';
import { VarveError } from '../base/index.ts';
import { extractTar, readTar } from '../layer/index.ts';
import type { CommandContext } from './command.ts';
import { pathTar } from './context-tar.ts';

/** Go's os.FileMode bits. */
const modeFolder = 2 ** 31;
const modeLink = 2 ** 27;

/** One side of a copy. */
export interface Place {
  readonly container: string | undefined;
  readonly path: string;
}

/** `web:/etc` is in a container; `./a:b` and `/a:b` are here. */
export function place(text: string): Place {
  const colon = text.indexOf(':');
  if (text.startsWith('/') || text.startsWith('.') || colon <= 0) return { container: undefined, path: text };
  return { container: text.slice(0, colon), path: text.slice(colon + 1) };
}

/**
 * Where a name in the container leads, and what is there: links are followed as inside the container, at most eight.
 * @throws EngineError when the container is not there.
 */
async function placeIn(
  engine: Engine,
  container: string,
  wanted: string,
): Promise<{ readonly path: string; readonly stat: PathStat | undefined }> {
  let path = wanted;
  for (let hops = 0; hops < 8; hops++) {
    let stat: PathStat;
    try {
      stat = await engine.containers.statPath(container, path);
    } catch (error) {
      if (EngineError.is(error, 404) && !error.message.startsWith('No such container'))
        return { path, stat: undefined };
      throw error;
    }
    if (Math.floor(stat.mode / modeLink) % 2 === 0 || stat.linkTarget === '') return { path, stat };
    path = posix.resolve(posix.dirname(posix.resolve('/', path)), stat.linkTarget);
  }
  throw new VarveError('invalid', 'TOO_MANY_LINKS', `${wanted}: too many links`, { subject: wanted });
}

const isFolder = (stat: PathStat): boolean => stat.mode >= modeFolder;

/** Where a source of this kind ends up, by cp's rules (docker/cli archive.PrepareArchiveCopy): folder to unpack in, and the new name. */
function target(
  wanted: string,
  source: { readonly name: string; readonly folder: boolean; readonly contents: boolean },
  existing: { readonly folder: boolean } | undefined,
  joinPath: (folder: string, name: string) => string,
  parent: (path: string) => string,
): { readonly folder: string; readonly name: string } {
  if (existing?.folder === true) return { folder: wanted, name: source.contents ? '' : source.name };
  if (existing) {
    if (source.folder)
      throw new VarveError('conflict', 'NOT_A_FOLDER', 'cannot copy directory', { subject: wanted });
    return { folder: parent(wanted), name: joinPath('', wanted).split('/').at(-1) as string };
  }
  if (wanted.endsWith('/') && !source.folder) {
    throw new VarveError('not-found', 'NO_FOLDER', 'no such directory', { subject: wanted });
  }
  return {
    folder: parent(wanted.replace(/\/+$/, '')),
    name: wanted.replace(/\/+$/, '').split('/').at(-1) as string,
  };
}

/** Where a name on this machine leads: a link is followed, also one to nothing, so that it stays a link. */
function realTarget(path: string): string {
  let current = path;
  for (let hops = 0; hops < 8; hops++) {
    const stat = lstatSync(current, { throwIfNoEntry: false });
    if (!stat?.isSymbolicLink()) return current;
    current = resolve(dirname(current), readlinkSync(current));
  }
  throw new VarveError('invalid', 'TOO_MANY_LINKS', `${path}: too many links`, { subject: path });
}

/** Copies out of a container, by the rules of `cp`; `-` writes a tar to stdout. */
export async function copyOut(
  context: CommandContext,
  engine: Engine,
  container: string,
  from: string,
  wanted: string,
  follow: boolean,
): Promise<void> {
  const source = follow ? (await placeIn(engine, container, from)).path : from;
  const { stat, archive } = await engine.containers.getArchive(container, source, { signal: context.signal });
  if (wanted === '-') {
    await pipeline(archive, context.terminal.stdout, { end: false });
    return;
  }
  const to = realTarget(wanted);
  const local = statSync(to, { throwIfNoEntry: false });
  const contents = /(^|\/)\.$/.test(from);
  const { folder, name } = target(
    to,
    { name: stat.name, folder: isFolder(stat), contents },
    local === undefined ? undefined : { folder: local.isDirectory() },
    (a, b) => join(a, b),
    (path) => dirname(path),
  );
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new VarveError(
      'not-found',
      'OUTPUT_PATH',
      `invalid output path: directory "${resolve(folder)}" does not exist`,
      { subject: folder },
    );
  }
  if (local === undefined && contents) mkdirSync(to, { recursive: true });
  await extractTar(
    renamed(archive, stat.name, contents && local === undefined ? basename(resolve(to)) : name),
    { root: resolve(folder) },
    { signal: context.signal },
  );
}

/** The archive with its top entry's name changed, in front of all paths. */
async function* renamed(
  archive: AsyncIterable<Uint8Array>,
  top: string,
  name: string,
): AsyncGenerator<Buffer> {
  const { encodeEnd, encodeHeader, paddingAfter } = await import('../layer/index.ts');
  const change = (path: Buffer): Buffer => {
    const text = path.toString('latin1').replace(/^(\.\/)+/, '');
    const topText = Buffer.from(top).toString('latin1');
    const rest =
      text === '.' || text === './'
        ? ''
        : text.startsWith(`${topText}/`)
          ? text.slice(topText.length + 1)
          : text === topText
            ? ''
            : text;
    const newTop = Buffer.from(name).toString('latin1');
    return Buffer.from([newTop, rest].filter((part) => part !== '').join('/') || '.', 'latin1');
  };
  for await (const entry of readTar(archive)) {
    yield encodeHeader({
      ...entry,
      name: change(entry.name),
      linkName: entry.type === 'hardlink' ? change(entry.linkName) : entry.linkName,
    });
    if (entry.type !== 'file') continue;
    for await (const chunk of entry.body) yield chunk;
    yield Buffer.alloc(paddingAfter(entry.size));
  }
  yield encodeEnd();
}

/** Copies into a container, by the rules of `cp`; `-` reads a tar from stdin. */
export async function copyIn(
  context: CommandContext,
  engine: Engine,
  from: string,
  container: string,
  wanted: string,
  flags: { readonly follow: boolean; readonly keepOwner: boolean },
): Promise<void> {
  const { signal } = context;
  const { path: to, stat: there } = await placeIn(engine, container, wanted);
  if (from === '-') {
    if (there === undefined || !isFolder(there)) {
      throw new VarveError(
        'invalid',
        'NOT_A_FOLDER',
        `destination "${container}:${wanted}" must be a directory`,
        { subject: wanted },
      );
    }
    await engine.containers.putArchive(container, to, context.terminal.stdin, { signal });
    return;
  }
  const stat = (flags.follow ? statSync : lstatSync)(from, { throwIfNoEntry: false });
  if (!stat)
    throw new VarveError('not-found', 'NO_SUCH_FILE', `lstat ${resolve(from)}: no such file or directory`, {
      subject: from,
    });
  const { folder, name } = target(
    to,
    { name: basename(resolve(from)), folder: stat.isDirectory(), contents: /(^|\/)\.$/.test(from) },
    there === undefined ? undefined : { folder: isFolder(there) },
    (a, b) => posix.join(a, b),
    (path) => posix.dirname(posix.resolve('/', path)),
  );
  await engine.containers.putArchive(
    container,
    folder === '' ? '/' : folder,
    pathTar(from, name, { stat, keepOwner: flags.keepOwner }),
    {
      noOverwriteDirNonDir: true,
      copyUIDGID: flags.keepOwner,
      signal,
    },
  );
}
