import { isKind } from '../base/index.ts';
import type { ContainerConfig, DiffID } from '../oci/index.ts';
import type { Session } from './session.ts';
import type { StageState, StepOutcome } from './stage-state.ts';
import { type CachedStep, explainMiss, type StepInputs, stepKey } from './step-cache.ts';

/** What carrying a step out gave. */
export interface MadeStep {
  readonly createdBy: string;
  readonly diffId?: DiffID | undefined;
  readonly size: number;
}

/** The image's configuration after the step, known before it is carried out. */
export interface ExpectedChange {
  readonly config: ContainerConfig;
  readonly author?: string | undefined;
}

/** Goes on to a cached step's image, or makes that image anew over this build's history; undefined when its layer is gone. */
async function reuse(
  session: Session,
  stage: StageState,
  record: CachedStep,
  expected: ExpectedChange,
): Promise<boolean> {
  const { images } = session.options;
  try {
    const image = record.parentImage === stage.image ? images.get(record.image) : undefined;
    if (image) {
      images.layers(image);
      stage.advance(image.id, image.config);
    } else {
      await stage.commit(images, { ...expected, ...record });
    }
  } catch (error) {
    if (isKind(error, 'data-loss') || isKind(error, 'not-found')) return false;
    throw error;
  }
  session.cache.used(record.key, stage.image ?? record.image, record.parentImage);
  return true;
}

/**
 * Takes a step from the cache or carries it out, and brings the stage to the image after it.
 * @param index number of the step in the events.
 */
export async function cachedStep(
  session: Session,
  stage: StageState,
  index: number,
  inputs: StepInputs,
  expected: ExpectedChange,
  make: () => Promise<MadeStep>,
): Promise<void> {
  const { cache, emit, request, options } = session;
  const key = stepKey(inputs);
  const parentImage = stage.image;
  let reason = 'the build was started with --no-cache';
  if (!request.noCache) {
    const record = cache.get(key);
    if (record && (await reuse(session, stage, record, expected))) {
      emit({ type: 'cache', index, hit: true, key });
      return;
    }
    reason = record ? 'its layer was removed from the store' : explainMiss(inputs, cache.similar(inputs));
  }
  emit({ type: 'cache', index, hit: false, key, reason: `${inputs.text}: ${reason}` });
  const made = await make();
  const outcome: StepOutcome = { ...expected, ...made, created: new Date().toISOString() };
  const image = await stage.commit(options.images, outcome);
  cache.put(inputs, {
    image,
    parentImage,
    diffId: made.diffId,
    layers: stage.layers,
    created: outcome.created,
    createdBy: made.createdBy,
    size: made.size,
  });
}
