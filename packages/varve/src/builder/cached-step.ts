import { isKind } from '../base/index.ts';
import type { ContainerConfig, DiffID, Digest } from '../oci/index.ts';
import type { Session } from './session.ts';
import type { StageState, StepOutcome } from './stage-state.ts';
import { type CachedStep, explainMiss, type StepInputs, stepKey } from './step-cache.ts';

/** The layer that carrying a step out gave; no DiffID when it made none. */
export interface MadeStep {
  readonly diffId?: DiffID | undefined;
  readonly size: number;
}

/** A step that makes no layer. */
export const noLayer = (): Promise<MadeStep> => Promise.resolve({ size: 0 });

/** What is known of the image after the step before it is carried out. */
export interface ExpectedChange {
  readonly config: ContainerConfig;
  readonly author?: string | undefined;
  readonly createdBy: string;
}

/**
 * Looks for the step in the images of `--cache-from`: one with the same layers and history so far whose next entry
 * was made by the same instruction (for COPY and ADD that text holds the digest of the files).
 */
function findInImages(
  session: Session,
  stage: StageState,
  expected: ExpectedChange,
): StepOutcome | undefined {
  const sameStart = <T>(whole: readonly T[], start: readonly T[]): boolean =>
    start.every((item, index) => item === whole[index]);
  for (const { config } of session.cacheImages()) {
    const { history = [], rootfs } = config;
    const next = history[stage.history.length];
    const texts = history.map((entry) => entry.created_by);
    if (
      next?.created_by !== expected.createdBy ||
      !sameStart(
        texts,
        stage.history.map((entry) => entry.created_by),
      )
    ) {
      continue;
    }
    const diffId = next.empty_layer ? undefined : rootfs.diff_ids[stage.layers.length];
    if (!sameStart(rootfs.diff_ids, stage.layers) || (!next.empty_layer && diffId === undefined)) continue;
    return { ...expected, created: next.created ?? new Date(0).toISOString(), diffId };
  }
  return undefined;
}

/** Goes on to a cached step's image, or makes that image anew over this build's history; undefined when its layer is gone. */
async function reuse(
  session: Session,
  stage: StageState,
  record: CachedStep,
  expected: ExpectedChange,
): Promise<boolean> {
  const { images } = session.options;
  const parent = stage.image;
  try {
    const image = record.parentImage === parent ? images.get(record.image) : undefined;
    if (image) {
      images.layers(image);
      stage.advance(image.id, image.config);
    } else {
      await stage.commit(images, { ...expected, created: record.created, diffId: record.diffId });
    }
  } catch (error) {
    if (isKind(error, 'data-loss') || isKind(error, 'not-found')) return false;
    throw error;
  }
  session.cache.used(record.key, stage.image ?? record.image, parent);
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
  const keep = (image: Digest, { created, diffId }: StepOutcome, size: number): void =>
    cache.put(inputs, {
      image,
      parentImage,
      diffId,
      layers: stage.layers,
      created,
      createdBy: expected.createdBy,
      size,
    });
  let reason = 'the build was started with --no-cache';
  if (!request.noCache) {
    const record = cache.get(key);
    if (record && (await reuse(session, stage, record, expected))) {
      emit({ type: 'cache', index, hit: true, key });
      return;
    }
    const found = findInImages(session, stage, expected);
    if (found) {
      keep(await stage.commit(options.images, found), found, 0);
      emit({ type: 'cache', index, hit: true, key });
      return;
    }
    reason = record ? 'its layer was removed from the store' : explainMiss(inputs, cache.similar(inputs));
  }
  emit({ type: 'cache', index, hit: false, key, reason: `${inputs.text}: ${reason}` });
  const { diffId, size } = await make();
  const outcome: StepOutcome = { ...expected, created: new Date().toISOString(), diffId };
  keep(await stage.commit(options.images, outcome), outcome, size);
}
