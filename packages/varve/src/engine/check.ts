import { chainIds, type Digest, familiarReference, parseReference } from '../oci/index.ts';
import type { EngineCore } from './core.ts';

/** Something in the stores that is not as the records say. */
export interface CheckProblem {
  /** Where it is. */
  readonly part: 'blob' | 'image' | 'container';
  /** Digest, image id or container id. */
  readonly subject: string;
  readonly problem: string;
}

/** What a check of the stores found. */
export interface CheckReport {
  readonly blobs: number;
  /** Bytes of blobs that were read and are right. */
  readonly bytes: number;
  readonly images: number;
  readonly snapshots: number;
  readonly containers: number;
  readonly problems: readonly CheckProblem[];
  /** True when damaged blobs were set aside and the records made to agree with the files. */
  readonly repaired: boolean;
}

const blobProblems = {
  missing: 'recorded, but its file is not there',
  corrupt: 'its bytes are not those of its name',
  unrecorded: 'a file without a record',
} as const;

/** Names of an image as people know them, or its id. */
function imageName(image: { readonly id: Digest; readonly tags: readonly string[] }): string {
  const [tag] = image.tags;
  return tag === undefined ? image.id : familiarReference(parseReference(tag));
}

/**
 * Compares records with files: reads every blob and checks its digest, that images have their config and layers, and
 * that containers have their snapshots.
 * @param options.repair sets damaged blobs aside, so that the next pull fetches them.
 */
export async function checkStores(
  core: EngineCore,
  options: { readonly repair?: boolean; readonly signal?: AbortSignal } = {},
): Promise<CheckReport> {
  const { content, images, driver } = core;
  const report = await content.check(options);
  const problems: CheckProblem[] = report.problems.map(({ digest, problem }) => ({
    part: 'blob',
    subject: digest,
    problem: blobProblems[problem],
  }));
  const list = images.list();
  for (const image of list) {
    const lacks = (problem: string): void => {
      problems.push({ part: 'image', subject: imageName(image), problem });
    };
    if (!content.stat(image.id)) lacks(`its config ${image.id} is not there`);
    const chains = chainIds(image.config.rootfs.diff_ids);
    for (const [index, chain] of chains.entries())
      if (!driver.has(chain)) lacks(`layer ${index + 1} (${chain}) is not in the storage driver`);
  }
  const containers = core.containers.list();
  for (const { id } of containers) {
    if (!driver.has(id)) {
      problems.push({ part: 'container', subject: id, problem: 'its writable layer is not there' });
    }
  }
  return {
    blobs: report.blobs,
    bytes: report.bytes,
    images: list.length,
    snapshots: [...driver.list()].length,
    containers: containers.length,
    problems,
    repaired: options.repair === true,
  };
}
