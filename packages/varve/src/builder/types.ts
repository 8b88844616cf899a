import type { ContentStore } from '../content/index.ts';
import type { CredentialLookup } from '../distribution/index.ts';
import type { ImageStore } from '../image/index.ts';
import type { Compression } from '../layer/index.ts';
import type { Digest } from '../oci/index.ts';
import type { State } from '../state/index.ts';
import type { StorageDriver } from '../storage/index.ts';

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
      /** Why it was not in the cache. */
      readonly reason?: string;
    }
  | { readonly type: 'output'; readonly stream: 1 | 2; readonly data: Buffer }
  /** A step is done; `id` is the image after it (empty for FROM scratch), `text` the classic builder's line. */
  | { readonly type: 'image'; readonly id: string; readonly text: string }
  | { readonly type: 'warning'; readonly message: string }
  /** A line for people, as the classic builder prints it. */
  | { readonly type: 'status'; readonly text: string }
  | { readonly type: 'done'; readonly image: Digest; readonly tags: readonly string[] };

export interface BuildRequest {
  /** Folder with the context, already unpacked and confined. */
  readonly contextFolder: string;
  /** What `unpackContext` knows of its files. */
  readonly contextHashes?: ReadonlyMap<string, string>;
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
  /** Credentials for base images; the image store's own are used when absent. */
  readonly credentials?: CredentialLookup;
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

/** A file fetched for `ADD https://…`. */
export interface RemoteFile {
  readonly body: AsyncIterable<Uint8Array>;
  /** Milliseconds since 1970, from Last-Modified. */
  readonly lastModified?: number;
}

/** Fetches a URL of ADD. @throws VarveError when it cannot. */
export type FetchRemote = (url: string, options: { readonly signal?: AbortSignal }) => Promise<RemoteFile>;

export interface BuilderOptions {
  readonly state: State;
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly driver: StorageDriver;
  readonly runner: StepRunner;
  /** Folder of the builder's own: cache mounts and what lives as long as one build. */
  readonly root: string;
  readonly fetchRemote?: FetchRemote;
  /** How layers of built images are kept and pushed. Default gzip: every registry and engine reads it. */
  readonly compression?: Compression;
}
