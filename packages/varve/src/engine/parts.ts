import type { Builder, StepRunner } from '../builder/index.ts';
import type { ContentStore } from '../content/index.ts';
import type { RegistryClient } from '../distribution/index.ts';
import type { ImageStore } from '../image/index.ts';
import type { NetworkManager } from '../network/index.ts';
import type { ContainerRuntime } from '../runtime/index.ts';
import type { State } from '../state/index.ts';
import type { StorageDriver } from '../storage/index.ts';
import type { VolumeStore } from '../volume/index.ts';

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
  readonly volumes: VolumeStore;
  /** Registries, for `login` and `distribution inspect`; the image store has its own hold of it. */
  readonly registries: RegistryClient;
  /** Gets the engine's step runner; undefined leaves `build` out. */
  readonly builder?: (runner: StepRunner) => Builder;
  /** The records were lost and are a copy's or new: what they do not name may be somebody's, and is set aside instead of swept. */
  readonly recordsLost?: boolean;
  readonly config: EngineConfig;
  readonly log: Logger;
}
