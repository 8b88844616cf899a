import type { KeyedLock } from '../base/index.ts';
import type { LocalImage } from '../image/index.ts';
import type { FileHashes } from './file-hashes.ts';
import type { CacheMounts } from './run-step.ts';
import type { SourceRoot } from './sources.ts';
import type { StepCache } from './step-cache.ts';
import type { BuildEvent, BuilderOptions, BuildRequest } from './types.ts';
import type { Workspace } from './workspace.ts';

/** What all steps of one build share. */
export interface Session {
  readonly options: BuilderOptions;
  readonly request: BuildRequest;
  readonly signal: AbortSignal | undefined;
  readonly emit: (event: BuildEvent) => void;
  readonly workspace: Workspace;
  readonly cache: StepCache;
  readonly hashes: FileHashes;
  readonly cacheMounts: CacheMounts;
  /** Held by steps whose cache mounts must not be shared. */
  readonly locks: KeyedLock;
  /** The images of `--cache-from` that are here. */
  cacheImages(): readonly LocalImage[];
  /** The build context. */
  readonly context: SourceRoot;
}
