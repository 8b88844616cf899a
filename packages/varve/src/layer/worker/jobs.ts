import { VarveError } from '../../base/index.ts';
import { applyLayerSync } from '../apply/apply-sync.ts';
import { recompressSync } from '../compress/recompress-sync.ts';
import { changesSync } from '../diff/changes-sync.ts';
import { writeLayerSync } from '../diff/write-sync.ts';
import { indexTarSync, settleIndexSync, storeLayerSync } from '../erofs/store-sync.ts';
import { fastGzip } from './fast.ts';
import type { JobName, JobRequest, Jobs } from './protocol.ts';

type Runner<J extends JobName> = (args: Jobs[J]['args'], checkCancelled: () => void) => Jobs[J]['result'];

const runners: { readonly [J in JobName]: Runner<J> } = {
  apply: ({ source, target, limits }, checkCancelled) =>
    applyLayerSync(source, target, limits, fastGzip, checkCancelled),
  write: ({ source, output, compression, options }, checkCancelled) =>
    writeLayerSync(source, output, compression, options, fastGzip, checkCancelled),
  compress: ({ source, output, compression, limits }, checkCancelled) =>
    recompressSync(source, output, compression, limits, fastGzip, checkCancelled),
  store: ({ source, target, limits }, checkCancelled) =>
    storeLayerSync(source, target, limits, fastGzip, checkCancelled),
  index: (request, checkCancelled) => indexTarSync(request, checkCancelled),
  settle: (request, checkCancelled) => settleIndexSync(request, checkCancelled),
  changes: ({ source }, checkCancelled) => changesSync(source, checkCancelled),
};

/** Runs a job to its end. */
export function runJob({ job, args, stop }: JobRequest): unknown {
  const flag = new Int32Array(stop);
  const checkCancelled = (): void => {
    if (Atomics.load(flag, 0) !== 0) {
      throw new VarveError('cancelled', 'CANCELLED', 'the operation was cancelled');
    }
  };
  checkCancelled();
  return (runners[job] as Runner<JobName>)(args, checkCancelled);
}
