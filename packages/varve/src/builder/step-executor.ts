import { randomId, shortId, VarveError } from '../base/index.ts';
import type {
  AddInstruction,
  CopyInstruction,
  Instruction,
  RunInstruction,
  WorkdirInstruction,
} from '../dockerfile/index.ts';
import { type ChainID, digestOf } from '../oci/index.ts';
import { isArchive, unpackArchive } from './archives.ts';
import { unpacked } from './base-image.ts';
import { cachedStep, type MadeStep } from './cached-step.ts';
import { digestTrees, type TreeDigest } from './content-digest.ts';
import { makeFolders } from './copy-tree.ts';
import { applyMetadata, joinWorkdir, nopText } from './metadata.ts';
import { watchMountPoints } from './mount-stubs.ts';
import { resolveOwner, resolveUser } from './ownership.ts';
import { join, lstat, raw, resolveInside } from './raw-path.ts';
import { downloadSource, fetchUrl, isGit, isRemote } from './remote-file.ts';
import {
  cacheMountId,
  copyFolder,
  type MountSource,
  planRun,
  prepareMounts,
  type RunPlan,
} from './run-step.ts';
import type { Session } from './session.ts';
import { resolveSources } from './sources.ts';
import type { StageState } from './stage-state.ts';
import type { StepInputs } from './step-cache.ts';
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

/** What a `--from` or a mount's `from` leads to: the build context, or the layers of a stage or an image. */
export type Tree =
  | { readonly kind: 'context' }
  | { readonly kind: 'layers'; readonly chain: ChainID | undefined };

/** Finds the tree that `from` names in the stage being built; undefined names the context. */
export type FindTree = (from: string | undefined) => Promise<Tree>;

/** Sources of a transfer: their digest at once, the files themselves when they are needed. */
interface Selection extends TreeDigest {
  resolve(): Promise<readonly PlacedSource[]>;
}

/** Carries out the instructions of a stage, one after the other. */
export class StepExecutor {
  readonly #session: Session;
  readonly #stage: StageState;
  readonly #findTree: FindTree;

  constructor(session: Session, stage: StageState, findTree: FindTree) {
    this.#session = session;
    this.#stage = stage;
    this.#findTree = findTree;
  }

  /** @param index number of the step in the events. */
  async execute(instruction: Instruction, index: number): Promise<void> {
    const stage = this.#stage;
    const before = this.#before(instruction);
    const change = applyMetadata(stage, instruction);
    if (change) {
      const createdBy = nopText(stage.config, change.comment);
      if (change.setsCommand) stage.commandSet = true;
      const inputs = { ...before, args: [], effective: JSON.stringify([createdBy, change.config]) };
      await cachedStep(this.#session, stage, index, inputs, change, async () => ({ createdBy, size: 0 }));
      return;
    }
    if (instruction.kind === 'RUN') await this.#run(instruction, before, index);
    else if (instruction.kind === 'WORKDIR') await this.#workdir(instruction, before, index);
    else if (instruction.kind === 'COPY' || instruction.kind === 'ADD')
      await this.#copy(instruction, before, index);
  }

  #before(instruction: Instruction): Pick<StepInputs, 'before' | 'text'> {
    return { before: this.#stage.digest, text: instruction.text };
  }

  /** The snapshot to work on, unpacked. */
  async #chain(): Promise<ChainID | undefined> {
    const { image } = this.#stage;
    const local = image === undefined ? undefined : this.#session.options.images.get(image);
    return local ? unpacked(this.#session, local) : undefined;
  }

  async #layer(
    id: string,
    work: (root: string) => Promise<boolean>,
  ): Promise<Pick<MadeStep, 'diffId' | 'size'>> {
    const made = await this.#session.workspace.layer(id, await this.#chain(), work);
    return { diffId: made?.diffId, size: made?.size ?? 0 };
  }

  async #workdir(
    instruction: WorkdirInstruction,
    before: Pick<StepInputs, 'before' | 'text'>,
    index: number,
  ): Promise<void> {
    const stage = this.#stage;
    const path = joinWorkdir(stage.config.WorkingDir, stage.scope.expand(instruction.path));
    const createdBy = nopText(stage.config, `WORKDIR ${path}`);
    const config = { ...stage.config, WorkingDir: path };
    const inputs = { ...before, args: [], effective: `WORKDIR ${path}` };
    await cachedStep(this.#session, stage, index, inputs, { config }, async () => {
      if (path === '/') return { createdBy, size: 0 };
      const layer = await this.#layer(randomId(), async (mounted) => {
        const root = raw(mounted);
        if (lstat(join(root, resolveInside(root, raw(path))))?.isDirectory()) return false;
        const owner = resolveUser(root, stage.config.User ?? '');
        makeFolders(root, raw(path), { owner, mode: 0o755 });
        return true;
      });
      return { createdBy, ...layer };
    });
  }

  async #copy(
    instruction: CopyInstruction | AddInstruction,
    before: Pick<StepInputs, 'before' | 'text'>,
    index: number,
  ): Promise<void> {
    const stage = this.#stage;
    const { workspace, signal } = this.#session;
    try {
      const transfer = planTransfer(instruction, stage);
      const selection = await this.#select(instruction, transfer);
      const inputs: StepInputs = {
        ...before,
        args: [],
        effective: JSON.stringify({ ...transfer, files: [] }),
        content: selection.digest,
        files: selection.files,
      };
      await cachedStep(this.#session, stage, index, inputs, { config: stage.config }, async () => {
        const sources = await selection.resolve();
        const inline = transfer.files.map((file) => placeInline(file, workspace.temporaryFolder()));
        const layer = await this.#layer(randomId(), async (mounted) => {
          const root = raw(mounted);
          const owner = transfer.chown === undefined ? undefined : resolveOwner(root, transfer.chown);
          const unpack: Unpack = (archive, top, folder) =>
            unpackArchive(archive, top, folder, { owner, signal });
          await copyInto(root, transfer, [...sources, ...inline], unpack, signal);
          return true;
        });
        const comment = transferText(transfer, selection.digest, transferShape(transfer, sources));
        return { createdBy: nopText(stage.config, comment), ...layer };
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
  async #select(instruction: CopyInstruction | AddInstruction, transfer: Transfer): Promise<Selection> {
    const { cache, hashes, signal, workspace } = this.#session;
    const from = instruction.kind === 'COPY' ? instruction.from : undefined;
    const tree = await this.#findTree(from);
    if (tree.kind === 'context') {
      const placed: PlacedSource[] = [];
      for (const source of transfer.sources)
        placed.push(...(await this.#place(source, instruction, transfer)));
      const content = await digestSources(placed, transfer, hashes, signal);
      return { ...content, resolve: () => Promise.resolve(placed) };
    }
    const resolve = async (): Promise<readonly PlacedSource[]> => {
      const folder = raw(await workspace.committed(tree.chain));
      const root = { folder, filter: PathFilter.everything, context: false };
      return resolveSources(root, transfer.sources).map((source) => ({ ...source, root, archive: false }));
    };
    const chain = tree.chain;
    const selector = { sources: transfer.sources, files: transfer.files };
    const known = chain === undefined ? undefined : cache.selection(chain, selector);
    if (known) return { ...known, resolve };
    const placed = await resolve();
    const content = await digestSources(placed, transfer, hashes, signal);
    if (chain !== undefined) cache.putSelection(chain, selector, content);
    return { ...content, resolve: () => Promise.resolve(placed) };
  }

  /** One source of the context: a file, a pattern, or for ADD something to fetch. */
  async #place(
    source: string,
    instruction: CopyInstruction | AddInstruction,
    transfer: Transfer,
  ): Promise<readonly PlacedSource[]> {
    const { context, options, workspace, signal } = this.#session;
    const add = instruction.kind === 'ADD' ? instruction : undefined;
    if (add && isGit(source)) {
      throw new VarveError('not-implemented', 'ADD_GIT', 'ADD of a git repository is not supported', {
        subject: source,
      });
    }
    if (add && isRemote(source)) {
      this.#session.emit({ type: 'status', text: `Downloading ${source}` });
      const file = await downloadSource(
        source,
        workspace.temporaryFolder(),
        options.fetchRemote ?? fetchUrl,
        {
          destination: transfer.destination,
          checksum: add.checksum === undefined ? undefined : this.#stage.scope.expand(add.checksum),
          signal,
        },
      );
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

  async #run(
    instruction: RunInstruction,
    before: Pick<StepInputs, 'before' | 'text'>,
    index: number,
  ): Promise<void> {
    const stage = this.#stage;
    const plan = planRun(instruction, stage);
    const bound = await this.#boundContent(plan);
    const { runArgs } = stage.scope;
    const inputs: StepInputs = {
      ...before,
      args: runArgs,
      effective: JSON.stringify({
        args: plan.args,
        mounts: plan.mounts,
        network: plan.network,
        script: plan.script,
      }),
      ...bound,
    };
    const prefix = runArgs.length === 0 ? '' : `|${runArgs.length} ${runArgs.join(' ')} `;
    const createdBy = `${prefix}${plan.args.join(' ')}`;
    const locked = plan.mounts.filter((mount) => mount.type === 'cache' && mount.sharing !== 'shared');
    await cachedStep(this.#session, stage, index, inputs, { config: stage.config }, async () => {
      const layer = await this.#locked(locked.map(cacheMountId).sort(), () =>
        this.#runLayer(instruction, plan),
      );
      return { createdBy, ...layer };
    });
  }

  /** Takes the locks in order, so that two steps cannot wait for each other. */
  #locked<T>(ids: readonly string[], work: () => Promise<T>): Promise<T> {
    const [first, ...rest] = [...new Set(ids)];
    if (first === undefined) return work();
    return this.#session.locks.run(first, () => this.#locked(rest, work));
  }

  async #runLayer(instruction: RunInstruction, plan: RunPlan): Promise<Pick<MadeStep, 'diffId' | 'size'>> {
    const { options, request, signal, emit, workspace, cacheMounts } = this.#session;
    const { config, scope } = this.#stage;
    const id = randomId();
    const mounts = await prepareMounts(plan, this.#stage, workspace, cacheMounts, (from) =>
      this.#mountSource(from),
    );
    const layer = await this.#layer(id, async (rootfs) => {
      emit({ type: 'status', text: ` ---> Running in ${shortId(id)}` });
      const cleanStubs = watchMountPoints(
        raw(rootfs),
        mounts.map(({ destination }) => destination),
      );
      const code = await options.runner.run({
        id,
        rootfs,
        args: plan.args,
        env: [...(config.Env ?? []), ...scope.runArgs, ...scope.proxyEnv],
        workingDir: config.WorkingDir || '/',
        user: config.User ?? '',
        networkMode: plan.network === 'default' ? (request.networkMode ?? 'default') : plan.network,
        extraHosts: request.extraHosts,
        mounts,
        request,
        onOutput: (stream, data) => emit({ type: 'output', stream, data }),
        ...(signal === undefined ? {} : { signal }),
      });
      if (code !== 0) throw runFailed(plan, code, instruction);
      cleanStubs();
      return true;
    });
    emit({ type: 'status', text: ` ---> Removed intermediate container ${shortId(id)}` });
    return layer;
  }

  /** Digest of what the read-only bind mounts show: it is an input as much as the command. */
  async #boundContent(plan: RunPlan): Promise<Partial<Pick<StepInputs, 'content' | 'files'>>> {
    const { hashes, signal, context } = this.#session;
    const binds = plan.mounts.filter((mount) => mount.type === 'bind');
    if (binds.length === 0) return {};
    const parts: TreeDigest[] = [];
    for (const mount of binds) {
      const tree = await this.#findTree(mount.from);
      // Layers never change: their name is enough.
      if (tree.kind === 'layers') {
        parts.push({ digest: tree.chain ?? this.#stage.digest, files: {} });
        continue;
      }
      const [top] = resolveSources(context, [mount.source ?? '/']);
      if (!top) continue;
      parts.push(
        await digestTrees(context.folder, [top.path], {
          filter: PathFilter.everything,
          hashes,
          owners: true,
          signal,
        }),
      );
    }
    const files = Object.assign({}, ...parts.map((part) => part.files)) as Readonly<Record<string, string>>;
    return { content: digestOf(parts.map((part) => part.digest).join(' ')), files };
  }

  async #mountSource(from: string | undefined): Promise<MountSource> {
    const { workspace, request } = this.#session;
    const tree = await this.#findTree(from);
    if (tree.kind === 'context') {
      const root = request.contextFolder;
      return { root, writable: () => Promise.resolve(copyFolder(root, workspace)) };
    }
    return {
      root: await workspace.committed(tree.chain),
      writable: () => workspace.writableCopy(tree.chain),
    };
  }
}

function runFailed(plan: RunPlan, code: number, instruction: RunInstruction): VarveError {
  return new VarveError(
    'invalid',
    'RUN_FAILED',
    `The command '${plan.args.join(' ')}' returned a non-zero code: ${code}`,
    { data: { exitCode: code, line: instruction.range.startLine, endLine: instruction.range.endLine } },
  );
}
