import { setTimeout } from 'node:timers/promises';
import { throwIfAborted, VarveError } from '../../base/index.ts';
import { createDigester, type Digest, digestAlgorithm } from '../../oci/index.ts';
import type { MetadataStore } from '../metadata/index.ts';
import type { RegistryStorage } from '../storage/index.ts';

/** What a scrub found of one blob. */
export interface ScrubFinding {
  readonly digest: Digest;
  readonly state: 'damaged' | 'missing' | 'healed';
  /** Why, as a sentence without full stop. */
  readonly reason: string;
  /** Images that cannot be pulled until it is pushed again; a hundred at most. */
  readonly concerned: readonly { readonly repository: string; readonly manifest: Digest }[];
}

export interface ScrubReport {
  readonly blobs: number;
  readonly bytes: number;
  readonly findings: readonly ScrubFinding[];
}

export interface ScrubOptions {
  /** Bytes a second that it reads at most; no limit when absent. */
  readonly rate?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onFinding?: (finding: ScrubFinding) => void;
}

const pageSize = 200;

/**
 * Reads every stored blob and hashes it, while the registry serves. One whose bytes are not its name's, or that is not there,
 * is hidden: HEAD and GET say that it is unknown, so that the next push sends it again, which heals it. Its bytes stay
 * until then. One that was hidden and is whole again is shown again.
 */
export async function scrub(
  parts: { readonly metadata: MetadataStore; readonly storage: RegistryStorage },
  options: ScrubOptions = {},
): Promise<ScrubReport> {
  const { metadata, storage } = parts;
  const findings: ScrubFinding[] = [];
  let blobs = 0;
  let bytes = 0;
  const startedAt = performance.now();
  for (let after: string | undefined; ; ) {
    const page = await metadata.scrubbing.blobs({ after, limit: pageSize });
    for (const { digest, size, damaged } of page) {
      throwIfAborted(options.signal);
      const fault = await examine(storage, digest, size, options.signal);
      blobs++;
      bytes += size;
      if ((fault === undefined) === !damaged) continue;
      // Collected meanwhile: nobody asks for it any more.
      if (fault && !(await metadata.garbage.knowsBlob(digest))) continue;
      await metadata.scrubbing.setDamaged(digest, fault !== undefined);
      const finding: ScrubFinding = {
        digest,
        state: fault?.state ?? 'healed',
        reason: fault?.reason ?? 'its bytes are whole again',
        concerned: fault ? await metadata.scrubbing.concerned(digest) : [],
      };
      findings.push(finding);
      options.onFinding?.(finding);
    }
    const last = page.at(-1);
    if (last === undefined || page.length < pageSize) break;
    after = last.digest;
    await pace(bytes, startedAt, options);
  }
  return { blobs, bytes, findings };
}

async function examine(
  storage: RegistryStorage,
  digest: Digest,
  size: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly state: 'damaged' | 'missing'; readonly reason: string } | undefined> {
  const digester = createDigester(digestAlgorithm(digest));
  let length = 0;
  try {
    for await (const chunk of await storage.read(digest)) {
      throwIfAborted(signal);
      digester.update(chunk as Uint8Array);
      length += (chunk as Uint8Array).length;
    }
  } catch (error) {
    if (VarveError.from(error).kind === 'not-found') {
      return { state: 'missing', reason: 'storage does not have it' };
    }
    throw error;
  }
  if (length !== size) return { state: 'damaged', reason: `it has ${length} bytes of ${size}` };
  const found = digester.digest();
  return found === digest ? undefined : { state: 'damaged', reason: `its bytes hash to ${found}` };
}

/** Waits until the bytes read are no more than the rate allows. */
async function pace(bytes: number, startedAt: number, { rate, signal }: ScrubOptions): Promise<void> {
  if (rate === undefined) return;
  const ahead = (bytes / rate) * 1000 - (performance.now() - startedAt);
  if (ahead > 0) await setTimeout(ahead, undefined, signal ? { signal } : {});
}
