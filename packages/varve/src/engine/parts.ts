import type { BuildEvent, BuildRequest, StepRunner } from '../builder/index.ts';
import type { ContentStore } from '../content/index.ts';
import type { ImageStore } from '../image/index.ts';
import type { NetworkManager } from '../network/index.ts';
import type { ContainerRuntime } from '../runtime/index.ts';
import type { State } from '../state/index.ts';
import type { StorageDriver } from '../storage/index.ts';
import type { Volume } from '../volume/index.ts';

/** What `docker volume create` asks for. */
export interface VolumeRequest {
  readonly name: string;
  /** Made for a container without a name. */
  readonly anonymous?: boolean;
  readonly driver?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/** The volumes as the engine uses them. */
export interface VolumeManager {
  list(): readonly Volume[];
  /** @throws `not-found` `get x: no such volume` */
  get(name: string): Volume;
  create(request: VolumeRequest): Promise<Volume>;
  remove(name: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Makes the volume's data available to one more container and gives its folder. */
  mount(name: string, containerId: string): Promise<string>;
  unmount(name: string, containerId: string): Promise<void>;
  /** Fills an empty volume with a folder of the image, owner and mode included; `path` is resolved inside `rootfs`. */
  copyUp(name: string, image: { readonly rootfs: string; readonly path: string }): Promise<void>;
  /** Bytes on disk. */
  usage(name: string): Promise<number>;
}

/** Builds images; the builder room's. */
export interface ImageBuilder {
  build(request: BuildRequest): AsyncIterable<BuildEvent>;
  prune?(options: {
    readonly all?: boolean;
  }): Promise<{ readonly deleted: readonly string[]; readonly bytes: number }>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Where the engine's own log goes; `fields` are data of the entry. */
export type Logger = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** What a user may set, as in dockerd's daemon.json. */
export interface EngineConfig {
  /** Version shown to clients. */
  readonly version: string;
  /** Host name shown as `Name`. */
  readonly hostName: string;
  readonly labels: readonly string[];
  /** Containers survive a clean stop of the engine. */
  readonly liveRestore: boolean;
  /** Seconds a stop of the engine waits for its containers. */
  readonly shutdownTimeout: number;
  readonly registryMirrors: readonly string[];
  readonly insecureRegistries: readonly string[];
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  readonly dnsOptions: readonly string[];
  readonly debug: boolean;
  /** Program bound into containers with `--init`; undefined when there is none. */
  readonly initPath: string | undefined;
}

/** The rooms below, composed by `bin/`. */
export interface EngineParts {
  /** Data root, kept over reboots. */
  readonly root: string;
  /** State that a reboot may drop. */
  readonly execRoot: string;
  readonly state: State;
  readonly content: ContentStore;
  readonly images: ImageStore;
  readonly driver: StorageDriver;
  readonly runtime: ContainerRuntime;
  readonly networks: NetworkManager;
  readonly volumes: VolumeManager;
  /** Gets the engine's step runner; undefined leaves `build` out. */
  readonly builder?: (runner: StepRunner) => ImageBuilder;
  readonly config: EngineConfig;
  readonly log: Logger;
}
