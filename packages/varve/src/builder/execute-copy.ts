import { randomId, VarveError } from '../base/index.ts';
import type { AddInstruction, CopyInstruction } from '../dockerfile/index.ts';
import { encodeJson } from '../oci/index.ts';
import { isArchive, unpackArchive } from './archives.ts';
import { cachedStep } from './cached-step.ts';
import { nopText } from './metadata.ts';
import { resolveOwner } from './ownership.ts';
import { join, raw } from './raw-path.ts';
import { downloadSource, fetchUrl, isGit, isRemote } from './remote-file.ts';
import { resolveSources } from './sources.ts';
import type { SelectionContent, StepInputs } from './step-cache.ts';
import { makeLayer, type StepContext } from './step-layer.ts';
import {
  copyInto,
  digestSources,
  type PlacedSource,
  placeInline,
  planTransfer,
  type Transfer,
  transferShape,
  transferText,
  type Unpack,
} from './transfer-step.ts';
import { PathFilter } from './tree.ts';

/** Sources of a transfer: what they hold at once, the files themselves when they are needed. */
interface Selection {
  readonly content: SelectionContent;
  resolve(): Promise<readonly PlacedSource[]>;
}

/** Carries out COPY and ADD. @throws VarveError with the classic builder's `COPY failed: ` in front for a source. */
export async function executeCopy(
  context: StepContext,
  instruction: CopyInstruction | AddInstruction,
  before: Pick<StepInputs, 'before' | 'text'>,
  index: number,
): Promise<void> {
  const { session, stage } = context;
  const { workspace, signal } = session;
  try {
    const transfer = planTransfer(instruction, stage);
    const selection = await select(context, instruction, transfer);
    const { content } = selection;
    const inputs: StepInputs = {
      ...before,
      args: [],
      effective: encodeJson({ ...transfer, files: [] }).toString(),
      content: content.digest,
      files: content.files,
    };
    const createdBy = nopText(stage.config, transferText(transfer, content.digest, content.shape));
    await cachedStep(session, stage, index, inputs, { config: stage.config, createdBy }, async () => {
      const sources = await selection.resolve();
      const inline = transfer.files.map((file) => placeInline(file, workspace.temporaryFolder()));
      return makeLayer(context, randomId(), async (mounted) => {
        const root = raw(mounted);
        const owner = transfer.chown === undefined ? undefined : resolveOwner(root, transfer.chown);
        const unpack: Unpack = (archive, top, folder) =>
          unpackArchive(archive, top, folder, { owner, signal });
        await copyInto(root, transfer, [...sources, ...inline], unpack, signal);
        return true;
      });
    });
  } catch (error) {
    if (!VarveError.is(error) || !error.code.startsWith('COPY_SOURCE')) throw error;
    throw new VarveError(error.kind, error.code, `${instruction.kind} failed: ${error.message}`, {
      cause: error,
      ...(error.subject === undefined ? {} : { subject: error.subject }),
    });
  }
}

/** Finds the sources and digests them; a tree of layers is mounted only when it was not digested before. */
async function select(
  context: StepContext,
  instruction: CopyInstruction | AddInstruction,
  transfer: Transfer,
): Promise<Selection> {
  const { cache, hashes, signal, workspace } = context.session;
  const digest = async (placed: readonly PlacedSource[]): Promise<SelectionContent> => ({
    ...(await digestSources(placed, transfer, hashes, signal)),
    shape: transferShape(transfer, placed),
  });
  const tree = await context.findTree(instruction.kind === 'COPY' ? instruction.from : undefined);
  if (tree.kind === 'context') {
    const placed: PlacedSource[] = [];
    for (const source of transfer.sources)
      placed.push(...(await place(context, source, instruction, transfer)));
    return { content: await digest(placed), resolve: () => Promise.resolve(placed) };
  }
  const { chain } = tree;
  const resolve = async (): Promise<readonly PlacedSource[]> => {
    const folder = raw(await workspace.committed(chain));
    const root = { folder, filter: PathFilter.everything, context: false, layers: true } as const;
    return resolveSources(root, transfer.sources).map((source) => ({ ...source, root, archive: false }));
  };
  const selector = { sources: transfer.sources, files: transfer.files };
  const known = chain === undefined ? undefined : cache.selection(chain, selector);
  if (known) return { content: known, resolve };
  const placed = await resolve();
  const content = await digest(placed);
  if (chain !== undefined) cache.putSelection(chain, selector, content);
  return { content, resolve: () => Promise.resolve(placed) };
}

/** One source of the context: a file, a pattern, or for ADD something to fetch. */
async function place(
  { session, stage }: StepContext,
  source: string,
  instruction: CopyInstruction | AddInstruction,
  transfer: Transfer,
): Promise<readonly PlacedSource[]> {
  const { context, options, workspace, signal, emit } = session;
  const add = instruction.kind === 'ADD' ? instruction : undefined;
  if (add && isGit(source)) {
    throw new VarveError('not-implemented', 'ADD_GIT', 'ADD of a git repository is not supported', {
      subject: source,
    });
  }
  if (add && isRemote(source)) {
    emit({ type: 'status', text: `Downloading ${source}` });
    const file = await downloadSource(source, workspace.temporaryFolder(), options.fetchRemote ?? fetchUrl, {
      destination: transfer.destination,
      checksum: add.checksum === undefined ? undefined : stage.scope.expand(add.checksum),
      signal,
    });
    return [
      { ...file, archive: add.unpack === true && (await isArchive(join(file.root.folder, file.path))) },
    ];
  }
  const placed: PlacedSource[] = [];
  for (const found of resolveSources(context, [source])) {
    const file = add && add.unpack !== false && !found.directory;
    const archive = file === true && (await isArchive(join(context.folder, found.path)));
    placed.push({ ...found, root: context, archive });
  }
  return placed;
}
