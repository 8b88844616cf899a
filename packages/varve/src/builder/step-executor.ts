import { randomId } from '../base/index.ts';
import type { Instruction, WorkdirInstruction } from '../dockerfile/index.ts';
import { encodeJson } from '../oci/index.ts';
import { cachedStep, noLayer } from './cached-step.ts';
import { makeFolders } from './copy-tree.ts';
import { executeCopy } from './execute-copy.ts';
import { executeRun } from './execute-run.ts';
import { applyMetadata, joinWorkdir, nopText } from './metadata.ts';
import { resolveUser } from './ownership.ts';
import { join, lstat, raw, resolveInside } from './raw-path.ts';
import type { StepInputs } from './step-cache.ts';
import { makeLayer, type StepContext } from './step-layer.ts';

/**
 * Carries out one instruction of a stage, or takes it from the cache.
 * @param index number of the step in the events.
 */
export async function executeStep(
  context: StepContext,
  instruction: Instruction,
  index: number,
): Promise<void> {
  const { session, stage } = context;
  const before = { before: stage.digest, text: instruction.text };
  const change = applyMetadata(stage, instruction);
  if (change) {
    const createdBy = nopText(change.config, change.comment);
    if (change.setsCommand) stage.commandSet = true;
    const effective = encodeJson({ createdBy, config: change.config }).toString();
    await cachedStep(
      session,
      stage,
      index,
      { ...before, args: [], effective },
      { ...change, createdBy },
      noLayer,
    );
  } else if (instruction.kind === 'RUN') {
    await executeRun(context, instruction, before, index);
  } else if (instruction.kind === 'WORKDIR') {
    await executeWorkdir(context, instruction, before, index);
  } else if (instruction.kind === 'COPY' || instruction.kind === 'ADD') {
    await executeCopy(context, instruction, before, index);
  }
}

/** WORKDIR makes its folder for the user of the image, and a layer only when it was not there. */
async function executeWorkdir(
  context: StepContext,
  instruction: WorkdirInstruction,
  before: Pick<StepInputs, 'before' | 'text'>,
  index: number,
): Promise<void> {
  const { session, stage } = context;
  const path = joinWorkdir(stage.config.WorkingDir, stage.scope.expand(instruction.path));
  const expected = {
    config: { ...stage.config, WorkingDir: path },
    createdBy: nopText(stage.config, `WORKDIR ${path}`),
  };
  const inputs = { ...before, args: [], effective: `WORKDIR ${path}` };
  await cachedStep(session, stage, index, inputs, expected, () => {
    if (path === '/') return noLayer();
    return makeLayer(context, randomId(), async (mounted) => {
      const root = raw(mounted);
      if (lstat(join(root, resolveInside(root, raw(path))))?.isDirectory()) return false;
      makeFolders(root, raw(path), resolveUser(root, stage.config.User ?? ''));
      return true;
    });
  });
}
