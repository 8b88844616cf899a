import type { StageScope } from '../dockerfile/index.ts';
import type { ImageStore, LocalImage, NewImage } from '../image/index.ts';
import {
  type ChainID,
  type ContainerConfig,
  chainIds,
  type DiffID,
  type Digest,
  digestOf,
  encodeJson,
  type HistoryEntry,
  type ImageConfig,
  type Platform,
} from '../oci/index.ts';

/** What one step adds. */
export interface StepOutcome {
  readonly config: ContainerConfig;
  readonly author?: string | undefined;
  readonly createdBy: string;
  readonly created: string;
  /** undefined when it made no layer. */
  readonly diffId?: DiffID | undefined;
}

/** A stage between two steps: the image so far. */
export class StageState {
  readonly platform: Platform;
  readonly scope: StageScope;
  image: Digest | undefined;
  config: ContainerConfig;
  author: string | undefined;
  history: readonly HistoryEntry[];
  layers: readonly DiffID[];
  /** CMD was given in this stage. */
  commandSet = false;
  /** JSON and parent of `image`, to make it again. */
  #current: NewImage | undefined;

  constructor(platform: Platform, scope: StageScope) {
    this.platform = platform;
    this.scope = scope;
    this.config = {};
    this.history = [];
    this.layers = [];
  }

  /** Starts from an image. */
  static from(base: LocalImage, scope: StageScope): StageState {
    const { architecture, os, variant } = base.config;
    const state = new StageState({ architecture, os, ...(variant === undefined ? {} : { variant }) }, scope);
    state.image = base.id;
    state.config = base.config.config ?? {};
    state.author = base.config.author;
    state.history = base.config.history ?? [];
    state.layers = base.config.rootfs.diff_ids;
    state.#current = { config: base.config, ...(base.parent === undefined ? {} : { parent: base.parent }) };
    return state;
  }

  /** Starts where another stage ended. */
  static after(stage: StageState): StageState {
    const state = new StageState(stage.platform, stage.scope.child());
    state.image = stage.image;
    state.config = stage.config;
    state.author = stage.author;
    state.history = stage.history;
    state.layers = stage.layers;
    state.#current = stage.#current;
    return state;
  }

  /** The snapshot of the layers so far; undefined when there is none. */
  get chain(): ChainID | undefined {
    return chainIds(this.layers).at(-1);
  }

  /** What the next step's result depends on: layers and configuration, not times, names or history. */
  get digest(): Digest {
    const { platform, config, author } = this;
    return digestOf(encodeJson({ chain: this.chain, platform, config, author }));
  }

  /** The image's JSON after `outcome`. */
  next(outcome: StepOutcome): ImageConfig {
    const author = outcome.author ?? this.author;
    const entry: HistoryEntry = {
      created: outcome.created,
      created_by: outcome.createdBy,
      ...(author === undefined ? {} : { author }),
      ...(outcome.diffId === undefined ? { empty_layer: true } : {}),
    };
    return {
      ...this.platform,
      created: outcome.created,
      ...(author === undefined ? {} : { author }),
      config: outcome.config,
      rootfs: {
        type: 'layers',
        diff_ids: outcome.diffId === undefined ? this.layers : [...this.layers, outcome.diffId],
      },
      history: [...this.history, entry],
    };
  }

  /** Goes on to the image that has the config of {@link StageState.next}. */
  advance(image: Digest, config: ImageConfig): void {
    this.#current = { config, ...(this.image === undefined ? {} : { parent: this.image }) };
    this.image = image;
    this.config = config.config ?? {};
    this.author = config.author;
    this.history = config.history ?? [];
    this.layers = config.rootfs.diff_ids;
  }

  /**
   * The image so far, undefined before the first step of FROM scratch. Others may prune images without a name while
   * a build runs: it is then made again, which gives the same id.
   * @throws VarveError `data-loss` when its layers were pruned too.
   */
  async local(images: ImageStore): Promise<LocalImage | undefined> {
    if (this.image === undefined) return undefined;
    const image = images.get(this.image);
    if (image || !this.#current) return image;
    return images.create(this.#current);
  }

  /** Stores the image after `outcome` and goes on to it. It is on disk for good when the build has flushed the store. */
  async commit(images: ImageStore, outcome: StepOutcome): Promise<Digest> {
    const config = this.next(outcome);
    const parent = this.image === undefined ? {} : { parent: this.image };
    const image = await images.create({ config, platform: this.platform, ...parent }, [], { durable: false });
    this.advance(image.id, config);
    return image.id;
  }
}
