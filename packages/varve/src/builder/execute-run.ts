import { type KeyedLock, randomId, shortId, VarveError } from '../base/index.ts';
import type { RunInstruction } from '../dockerfile/index.ts';
import { digestOf, encodeJson } from '../oci/index.ts';
import { cachedStep, type MadeStep } from './cached-step.ts';
import { digestTrees, type TreeDigest } from './content-digest.ts';
import { watchMountPoints } from './mount-stubs.ts';
import { raw } from './raw-path.ts';
import {
  cacheMountId,
  copyFolder,
  type MountSource,
  planRun,
  prepareMounts,
  type RunPlan,
} from './run-step.ts';
import { resolveSources } from './sources.ts';
import type { StepInputs } from './step-cache.ts';
import { makeLayer, type StepContext } from './step-layer.ts';
import { PathFilter } from './tree.ts';

/**
 * Carries out RUN through the step runner.
 * @throws VarveError `RUN_FAILED` with `data.exitCode`, in Docker's words.
 */
export async function executeRun(
  context: StepContext,
  instruction: RunInstruction,
  before: Pick<StepInputs, 'before' | 'text'>,
  index: number,
): Promise<void> {
  const { session, stage } = context;
  const plan = planRun(instruction, stage);
  const { runArgs } = stage.scope;
  const inputs: StepInputs = {
    ...before,
    args: runArgs,
    effective: encodeJson(plan).toString(),
    ...(await boundContent(context, plan)),
  };
  const prefix = runArgs.length === 0 ? '' : `|${runArgs.length} ${runArgs.join(' ')} `;
  const createdBy = `${prefix}${plan.args.join(' ')}`;
  const locked = plan.mounts.filter((mount) => mount.type === 'cache' && mount.sharing !== 'shared');
  await cachedStep(session, stage, index, inputs, { config: stage.config, createdBy }, () =>
    withLocks(session.locks, locked.map(cacheMountId).sort(), () => runLayer(context, instruction, plan)),
  );
}

/** Takes the locks in order, so that two steps cannot wait for each other. */
function withLocks<T>(locks: KeyedLock, ids: readonly string[], work: () => Promise<T>): Promise<T> {
  const [first, ...rest] = [...new Set(ids)];
  if (first === undefined) return work();
  return locks.run(first, () => withLocks(locks, rest, work));
}

async function runLayer(context: StepContext, instruction: RunInstruction, plan: RunPlan): Promise<MadeStep> {
  const { options, request, signal, emit, workspace, cacheMounts } = context.session;
  const { config, scope } = context.stage;
  const id = randomId();
  const mounts = await prepareMounts(plan, context.stage, workspace, cacheMounts, (from) =>
    mountSource(context, from),
  );
  const layer = await makeLayer(context, id, async (rootfs) => {
    emit({ type: 'status', text: ` ---> Running in ${shortId(id)}` });
    const destinations = mounts.map(({ destination }) => destination);
    const cleanStubs = watchMountPoints(raw(rootfs), destinations);
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
async function boundContent(
  { session, findTree }: StepContext,
  plan: RunPlan,
): Promise<Partial<Pick<StepInputs, 'content' | 'files'>>> {
  const { hashes, signal, context } = session;
  const parts: TreeDigest[] = [];
  for (const mount of plan.mounts.filter(({ type }) => type === 'bind')) {
    const tree = await findTree(mount.from);
    if (tree.kind === 'layers') {
      // Layers never change: their name is enough.
      parts.push({ digest: tree.chain ?? digestOf(''), files: {} });
      continue;
    }
    const tops = resolveSources(context, [mount.source ?? '/']).map(({ path }) => path);
    // A mount shows what is there, whatever .dockerignore says.
    const filter = PathFilter.everything;
    parts.push(await digestTrees(context.folder, tops, { filter, hashes, owners: true, signal }));
  }
  if (parts.length === 0) return {};
  return {
    content: digestOf(parts.map(({ digest }) => digest).join(' ')),
    files: Object.fromEntries(parts.flatMap(({ files }) => Object.entries(files))),
  };
}

async function mountSource(
  { session, findTree }: StepContext,
  from: string | undefined,
): Promise<MountSource> {
  const { workspace, request } = session;
  const tree = await findTree(from);
  if (tree.kind === 'context') {
    const root = request.contextFolder;
    return { root, writable: () => Promise.resolve(copyFolder(root, workspace)) };
  }
  return {
    root: await workspace.committed(tree.chain),
    writable: () => workspace.writableCopy(tree.chain),
  };
}

function runFailed(plan: RunPlan, code: number, { range }: RunInstruction): VarveError {
  const message = `The command '${plan.args.join(' ')}' returned a non-zero code: ${code}`;
  return new VarveError('invalid', 'RUN_FAILED', message, {
    data: { exitCode: code, line: range.startLine, endLine: range.endLine },
  });
}
