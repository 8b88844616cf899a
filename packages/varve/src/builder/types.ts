import type { Digest } from '../oci/index.ts';

/** One step of a build as it happens; the API's JSON lines, the CLI and explain are views of these. */
export type BuildEvent =
  | {
      readonly type: 'step';
      readonly index: number;
      readonly total: number;
      readonly stage: string;
      readonly text: string;
    }
  | {
      readonly type: 'cache';
      readonly index: number;
      readonly hit: boolean;
      readonly key: Digest;
      readonly reason?: string;
    }
  | { readonly type: 'output'; readonly stream: 1 | 2; readonly data: Buffer }
  | { readonly type: 'image'; readonly id: string; readonly text: string }
  | { readonly type: 'warning'; readonly message: string }
  | { readonly type: 'status'; readonly text: string }
  | { readonly type: 'done'; readonly image: Digest; readonly tags: readonly string[] };

export interface BuildRequest {
  /** Folder with the context, already unpacked and confined. */
  readonly contextFolder: string;
  /** Path of the Dockerfile inside the context, or its text. */
  readonly dockerfile: { readonly path: string } | { readonly text: string };
  readonly tags: readonly string[];
  readonly target?: string;
  readonly buildArgs: Readonly<Record<string, string | null>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly platform?: string;
  readonly noCache: boolean;
  readonly cacheFrom: readonly string[];
  readonly pull: boolean;
  readonly networkMode?: string;
  readonly extraHosts: readonly string[];
  readonly shmSize?: number;
  readonly memory?: number;
  readonly memorySwap?: number;
  readonly cpuShares?: number;
  readonly cpuPeriod?: number;
  readonly cpuQuota?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  readonly ulimits?: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly signal?: AbortSignal;
}

/** Runs one RUN step on a mounted root: the engine side of the builder, given to it at composition. */
export interface StepRunner {
  run(step: {
    readonly id: string;
    readonly rootfs: string;
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly workingDir: string;
    readonly user: string;
    readonly networkMode: string;
    readonly extraHosts: readonly string[];
    readonly mounts: readonly {
      readonly source: string;
      readonly destination: string;
      readonly type: 'bind' | 'tmpfs';
      readonly readOnly: boolean;
      readonly options: readonly string[];
    }[];
    readonly request: BuildRequest;
    readonly onOutput: (stream: 1 | 2, data: Buffer) => void;
    readonly signal?: AbortSignal;
  }): Promise<number>;
}
