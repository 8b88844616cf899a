import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { VarveError } from '../base/index.ts';
import {
  type AddInstruction,
  type CopyInstruction,
  expandWord,
  type InlineFile,
} from '../dockerfile/index.ts';
import { type Digest, digestOf, encodeJson } from '../oci/index.ts';
import { digestTrees, type TreeDigest } from './content-digest.ts';
import { makeFolders, TreeCopier } from './copy-tree.ts';
import { type FileHashes, hashesAnew } from './file-hashes.ts';
import { parseMode } from './file-mode.ts';
import { type Owner, resolveOwner } from './ownership.ts';
import { basename, bytes, join, lstat, parent, type RawPath, raw, resolveInside } from './raw-path.ts';
import type { ResolvedSource, SourceRoot } from './sources.ts';
import type { StageState } from './stage-state.ts';
import type { TransferShape } from './step-cache.ts';
import { PathFilter } from './tree.ts';

/** COPY or ADD with everything expanded: what will be done, without having looked at a file. */
export interface Transfer {
  readonly kind: 'COPY' | 'ADD';
  readonly sources: readonly string[];
  readonly files: readonly InlineFile[];
  /** Absolute, with a trailing slash when it was written as a folder. */
  readonly destination: string;
  /** As written, for the history. */
  readonly shownDestination: string;
  readonly chown: string | undefined;
  readonly chmod: string | undefined;
  readonly exclude: readonly string[];
  readonly parents: boolean;
  readonly unpack: boolean | undefined;
}

/** Expands a COPY or ADD. Wrong modes are found here, before anything is copied. */
export function planTransfer(instruction: CopyInstruction | AddInstruction, stage: StageState): Transfer {
  const { scope } = stage;
  const sources = instruction.sources.map((source) => scope.expand(source));
  const written = scope.expand(instruction.destination);
  const folder = /(?:^|\/)\.?$/.test(written);
  const absolute = posix.resolve('/', stage.config.WorkingDir ?? '/', written === '' ? '.' : written);
  const total = sources.length + instruction.files.length;
  if (total > 1 && !folder) {
    throw new VarveError(
      'invalid',
      'COPY_DESTINATION',
      `When using ${instruction.kind} with more than one source file, the destination must be a directory and end with a /`,
    );
  }
  const chmod = instruction.chmod === undefined ? undefined : scope.expand(instruction.chmod);
  if (chmod !== undefined) parseMode(chmod);
  return {
    kind: instruction.kind,
    sources,
    files: instruction.files.map((file) => ({
      ...file,
      content: file.expand
        ? expandWord(file.content, scope.variables, { ignoreQuotes: true }).text
        : file.content,
    })),
    destination: folder && absolute !== '/' ? `${absolute}/` : absolute,
    shownDestination: written,
    chown: instruction.chown === undefined ? undefined : scope.expand(instruction.chown),
    chmod,
    exclude: instruction.exclude,
    parents: instruction.kind === 'COPY' && instruction.parents,
    unpack: instruction.kind === 'ADD' ? instruction.unpack : undefined,
  };
}

/** A source with the tree it is in. */
export interface PlacedSource extends ResolvedSource {
  readonly root: SourceRoot;
  /** To be unpacked in the destination instead of being copied. */
  readonly archive: boolean;
}

/** Writes a file that the Dockerfile holds into a folder of its own, so that it can be copied as any other. */
export function placeInline(file: InlineFile, folder: string): PlacedSource {
  // The name only says what it is called in a destination folder; it never becomes a path of the host.
  const name = basename(raw(file.name));
  if (name === '' || name === '.' || name === '..') {
    throw new VarveError('invalid', 'INVALID_HEREDOC', `a file cannot be named ${JSON.stringify(file.name)}`);
  }
  const root = { folder: raw(folder), filter: PathFilter.everything, context: false };
  writeFileSync(bytes(join(root.folder, 'content')), file.content, { mode: 0o644 });
  return { root, path: 'content', name, directory: false, parents: '', archive: false };
}

/** What the files of a transfer hold, for the cache's key and the history. */
export async function digestSources(
  sources: readonly PlacedSource[],
  transfer: Transfer,
  hashes: FileHashes,
  signal: AbortSignal | undefined,
): Promise<TreeDigest> {
  const digests: Digest[] = [];
  const files: Record<string, string> = {};
  for (const source of sources) {
    const tree = await digestTrees(source.root.folder, [source.path], {
      filter: source.root.filter,
      hashes: source.root.layers ? hashesAnew : hashes,
      owners: false,
      signal,
    });
    digests.push(tree.digest);
    Object.assign(files, tree.files);
  }
  for (const { name, content } of transfer.files) {
    const digest = createHash('sha256').update(content).digest('hex');
    digests.push(digestOf(content));
    files[name] = digest.slice(0, 16);
  }
  const names = sources.map(({ name, directory, parents, archive }) => ({
    name,
    directory,
    parents,
    archive,
  }));
  return { digest: digestOf(encodeJson({ digests, names })), files };
}

/** `created_by` behind `#(nop) `, as the classic builder writes it. */
export function transferText(transfer: Transfer, content: Digest, single: TransferShape): string {
  const chown = transfer.chown === undefined ? '' : `--chown=${transfer.chown} `;
  return `${transfer.kind} ${chown}${single}:${content.slice(7)} in ${transfer.shownDestination} `;
}

/** `file`, `dir` or `multi`. */
export function transferShape(transfer: Transfer, sources: readonly PlacedSource[]): TransferShape {
  if (sources.length + transfer.files.length !== 1) return 'multi';
  return sources[0]?.directory ? 'dir' : 'file';
}

/**
 * Where one file lands, below the root. A destination that is a link leads to its target, as the classic builder
 * has it; a link among the names of a folder is replaced.
 */
function placeOf(root: RawPath, transfer: Transfer, name: RawPath, owner: Owner): RawPath {
  const destination = raw(transfer.destination);
  const resolved = resolveInside(root, destination);
  if (transfer.destination.endsWith('/') || lstat(join(root, resolved))?.isDirectory()) {
    return join(makeFolders(root, destination, owner), name);
  }
  return join(makeFolders(root, parent(resolved), owner), basename(resolved));
}

/** Unpacks an archive into a folder below the image's root. */
export type Unpack = (archive: RawPath, root: RawPath, folder: RawPath) => Promise<void>;

/**
 * Carries a transfer out on a mounted root.
 * @throws VarveError `conflict` when a file is where a folder must be.
 */
export async function copyInto(
  root: RawPath,
  transfer: Transfer,
  sources: readonly PlacedSource[],
  unpack: Unpack,
  signal: AbortSignal | undefined,
): Promise<void> {
  const owner: Owner = transfer.chown === undefined ? { uid: 0, gid: 0 } : resolveOwner(root, transfer.chown);
  const mode = transfer.chmod === undefined ? undefined : parseMode(transfer.chmod);
  const copier = new TreeCopier(root, { owner, mode, signal });
  const exclude = new PathFilter(transfer.exclude);
  for (const source of sources) {
    if (!source.directory && exclude.excludes(source.name)) continue;
    const { folder, filter } = source.root;
    if (source.archive) {
      await unpack(join(folder, source.path), root, makeFolders(root, raw(transfer.destination), owner));
    } else if (transfer.parents) {
      const at = makeFolders(root, join(raw(transfer.destination), source.parents), owner);
      await copier.copy(folder, source.path, join(at, source.name), filter, exclude);
    } else if (source.directory) {
      const target = resolveInside(root, raw(transfer.destination));
      // The top of a context is a folder of ours, whose mode says nothing: it arrives as 0755.
      if (source.path === '') makeFolders(root, target, owner);
      else makeFolders(root, parent(target), owner);
      await copier.copy(folder, source.path, target, filter, exclude);
    } else {
      await copier.copy(folder, source.path, placeOf(root, transfer, source.name, owner), filter);
    }
  }
}
