import { VarveError } from '../base/index.ts';
import {
  type Dockerfile,
  type ExpandOptions,
  expandWord,
  type FromInstruction,
  type Instruction,
  parseError,
  parseMount,
  type Stage,
  type Variables,
} from '../dockerfile/index.ts';

/** What a FROM, a `--from` or a mount's `from` names. */
export type StageReference =
  | { readonly kind: 'scratch' }
  | { readonly kind: 'stage'; readonly index: number }
  | { readonly kind: 'image'; readonly name: string };

export interface PlannedStage {
  readonly stage: Stage;
  readonly base: StageReference;
  /** `--platform` after expansion. */
  readonly platform: string | undefined;
}

export interface BuildPlan {
  readonly stages: readonly PlannedStage[];
  /** The stage whose image is the result. */
  readonly target: number;
  /** Indexes of the stages the target needs, in the order of the Dockerfile; the target is the last. */
  readonly needed: readonly number[];
}

/** How a stage is called in events: its name, else its number. */
export function stageName(stage: Stage): string {
  return stage.from.as ?? String(stage.index);
}

function baseOf(
  from: FromInstruction,
  before: readonly Stage[],
  globals: Variables,
  options: ExpandOptions,
): StageReference {
  const name = expandWord(from.base, globals, options).text;
  if (name === '') {
    throw parseError(from.range, `base name (${from.base}) should not be blank`);
  }
  const index = before.findLastIndex((stage) => stage.from.as === name.toLowerCase());
  if (index >= 0) return { kind: 'stage', index };
  return name === 'scratch' ? { kind: 'scratch' } : { kind: 'image', name };
}

/**
 * Reads the `--from` of an instruction of stage `current`: a stage's name or number, else an image.
 * @throws VarveError `invalid` for a stage that does not come before.
 */
export function resolveFrom(value: string, plan: Pick<BuildPlan, 'stages'>, current: number): StageReference {
  const stages = plan.stages.map(({ stage }) => stage);
  if (/^\d+$/.test(value)) {
    const index = Number(value);
    if (index < current) return { kind: 'stage', index };
    throw new VarveError(
      'invalid',
      'INVALID_FROM',
      index === current
        ? `invalid from flag value ${value}: refers to current build stage`
        : `invalid from flag value ${value}: invalid stage index ${value}`,
      { subject: value },
    );
  }
  const index = stages.findLastIndex((stage, at) => at < current && stage.from.as === value.toLowerCase());
  if (index >= 0) return { kind: 'stage', index };
  if (stages[current]?.from.as === value.toLowerCase()) {
    throw new VarveError(
      'invalid',
      'INVALID_FROM',
      `invalid from flag value ${value}: refers to current build stage`,
    );
  }
  return value === 'scratch' ? { kind: 'scratch' } : { kind: 'image', name: value };
}

/** The `from` values an instruction uses, as far as they are known before it runs. */
function fromValues(instruction: Instruction): readonly string[] {
  if (instruction.kind === 'COPY') return instruction.from === undefined ? [] : [instruction.from];
  if (instruction.kind !== 'RUN') return [];
  return instruction.mounts.flatMap((mount) => {
    // A name with a variable is found when the step runs; the stage is then built at that point.
    if (mount.includes('$')) return [];
    return parseMount(mount).from ?? [];
  });
}

function findTarget(stages: readonly Stage[], target: string | undefined): number {
  if (target === undefined || target === '') return stages.length - 1;
  const named = stages.findLastIndex((stage) => stage.from.as === target.toLowerCase());
  if (named >= 0) return named;
  if (/^\d+$/.test(target) && Number(target) < stages.length) return Number(target);
  throw new VarveError('invalid', 'NO_SUCH_STAGE', `failed to reach build target ${target} in Dockerfile`, {
    subject: target,
  });
}

/**
 * Works out which stages must be built for the target, and what each one starts from.
 * @throws VarveError `invalid` for a target or a stage reference that does not exist.
 */
export function planBuild(
  dockerfile: Dockerfile,
  target: string | undefined,
  globals: Variables,
  options: ExpandOptions,
): BuildPlan {
  const { stages } = dockerfile;
  if (stages.length === 0) {
    throw new VarveError('invalid', 'NO_STAGE', 'dockerfile contains no stages to build');
  }
  const planned = stages.map((stage, index): PlannedStage => {
    const platform = stage.from.platform;
    return {
      stage,
      base: baseOf(stage.from, stages.slice(0, index), globals, options),
      platform: platform === undefined ? undefined : expandWord(platform, globals, options).text,
    };
  });
  const goal = findTarget(stages, target);
  const needed = new Set<number>();
  const visit = (index: number): void => {
    const entry = planned[index];
    if (!entry || needed.has(index)) return;
    needed.add(index);
    if (entry.base.kind === 'stage') visit(entry.base.index);
    for (const instruction of entry.stage.instructions) {
      for (const value of fromValues(instruction)) {
        const reference = resolveFrom(value, { stages: planned }, index);
        if (reference.kind === 'stage') visit(reference.index);
      }
    }
  };
  visit(goal);
  return { stages: planned, target: goal, needed: [...needed].sort((a, b) => a - b) };
}
