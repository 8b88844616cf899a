import type { EngineCore } from '../core.ts';
import { checkContainers, checkLeaks } from './check-containers.ts';
import { checkBlobs, checkImages, checkLayers } from './check-images.ts';
import type { CheckOptions, Finding } from './finding.ts';
import { repairFindings } from './repair.ts';

/** What a check of the stores found. */
export interface CheckReport {
  readonly blobs: number;
  /** Bytes of blobs that were read and are right. */
  readonly bytes: number;
  readonly images: number;
  readonly snapshots: number;
  readonly containers: number;
  /** What was found, with what was done about it. */
  readonly problems: readonly Finding[];
  /** True when something was to be done about what was found. */
  readonly repaired: boolean;
  /** What is still wrong after a repair; the same as `problems` without one. */
  readonly remaining: readonly Finding[];
}

async function examine(
  core: EngineCore,
  options: CheckOptions,
): Promise<{ readonly blobs: number; readonly bytes: number; readonly findings: readonly Finding[] }> {
  const { blobs, bytes, findings } = await checkBlobs(core, options);
  const layers = await checkLayers(core, options);
  options.onProgress?.({ step: 'records', subject: '', done: 0, total: 1 });
  const all = [
    ...findings,
    ...checkImages(core),
    ...layers,
    ...(await checkContainers(core)),
    ...checkLeaks(core),
  ];
  const seen = new Set<string>();
  const unique = all.filter(({ kind, subject }) => {
    const key = `${kind} ${subject}`;
    return !seen.has(key) && seen.add(key);
  });
  return { blobs, bytes, findings: unique };
}

/**
 * Compares records, files, snapshots, indexes and mounts with each other, both ways: reads every blob and checks its digest,
 * compares every layer with its blob, looks for what nobody needs and what containers left on the host. Work goes on meanwhile.
 * @param options.repair does something about each finding, then looks again.
 * @throws VarveError `cancelled`.
 */
export async function checkStores(core: EngineCore, options: CheckOptions = {}): Promise<CheckReport> {
  const { blobs, bytes, findings } = await examine(core, options);
  const repair = options.repair === true && findings.length > 0;
  const problems = repair ? await repairFindings(core, findings, options) : findings;
  const remaining = repair ? (await examine(core, options)).findings : findings;
  return {
    blobs,
    bytes,
    images: core.images.list().length,
    snapshots: Array.from(core.driver.list()).length,
    containers: core.containers.list().length,
    problems,
    repaired: options.repair === true,
    remaining,
  };
}
