import { type ErrorKind, VarveError } from '../../base/index.ts';
import type { SettleRequest, StoredLayer, StoreTarget, TarToIndex } from '../erofs/store-sync.ts';
import type { LayerLimits } from '../limits.ts';
import type {
  ApplyResult,
  ApplyTarget,
  Change,
  Compression,
  DiffSource,
  LayerBlob,
  LayerSource,
} from '../types.ts';

/** What a worker can be asked to do, whole, in one synchronous call: arguments and result by job. */
export interface Jobs {
  readonly apply: {
    readonly args: {
      readonly source: LayerSource;
      readonly target: ApplyTarget;
      readonly limits: LayerLimits;
    };
    readonly result: ApplyResult;
  };
  readonly write: {
    readonly args: {
      readonly source: DiffSource;
      readonly output: string;
      readonly compression: Compression;
      readonly options: WriteSettings;
    };
    readonly result: LayerBlob;
  };
  readonly compress: {
    readonly args: {
      readonly source: LayerSource;
      readonly output: string;
      readonly compression: Compression;
      readonly limits: LayerLimits;
    };
    readonly result: LayerBlob;
  };
  readonly store: {
    readonly args: {
      readonly source: LayerSource;
      readonly target: StoreTarget;
      readonly limits: LayerLimits;
    };
    readonly result: StoredLayer;
  };
  readonly index: { readonly args: TarToIndex; readonly result: StoredLayer };
  readonly settle: {
    readonly args: SettleRequest;
    readonly result: boolean;
  };
  readonly changes: { readonly args: { readonly source: DiffSource }; readonly result: Change[] };
}

export type JobName = keyof Jobs;

/** How a layer is written; all of it bears on the digests. */
export interface WriteSettings {
  /** Compression level; ISA-L's own, 6 (gzip) or 3 (zstd) when absent. */
  readonly level?: number;
  /** Latest mtime in seconds: SOURCE_DATE_EPOCH. Later times become it. */
  readonly maxMtime?: number;
  /** Absolute paths to leave out where the diff has an entry there; deletions of them stay. */
  readonly exclude?: readonly string[];
  /** Holes are written as such (GNU.sparse 1.0) instead of as zeros. */
  readonly sparse?: boolean;
}

export interface JobRequest {
  readonly id: number;
  readonly job: JobName;
  readonly args: Jobs[JobName]['args'];
  /** One Int32: not zero when the job is to stop. The worker looks at it, since it takes no messages meanwhile. */
  readonly stop: SharedArrayBuffer;
}

/** To a thread of the pool: a job, or word that there will be no more. */
export type PoolMessage = JobRequest | 'end';

export type JobReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: PlainError };

/** An error as it goes between threads: classes and getters do not survive. */
export interface PlainError {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly subject: string | undefined;
  readonly data: Readonly<Record<string, unknown>> | undefined;
  readonly stack: string | undefined;
}

export function toPlainError(value: unknown): PlainError {
  const { kind, code, message, hint, subject, data, stack } = VarveError.from(value);
  return { kind, code, message, hint, subject, data, stack };
}

export function fromPlainError(plain: PlainError): VarveError {
  const { kind, code, message, hint, subject, data, stack } = plain;
  const error = new VarveError(kind, code, message, {
    ...(hint === undefined ? {} : { hint }),
    ...(subject === undefined ? {} : { subject }),
    ...(data === undefined ? {} : { data }),
  });
  if (stack !== undefined) error.stack = stack;
  return error;
}
