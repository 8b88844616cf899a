import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { EventQueue, isKind, KeyedLock } from '../base/index.ts';
import { parseDockerfile } from '../dockerfile/index.ts';
import type { LocalImage } from '../image/index.ts';
import type { DiffID, Digest } from '../oci/index.ts';
import { loadContext } from './build-context.ts';
import { BuildRun } from './build-run.ts';
import { FileHashes } from './file-hashes.ts';
import { CacheMounts } from './run-step.ts';
import type { State } from '../state/index.ts';
import { builderSchema } from './schema.ts';
import { type CachedStep, StepCache } from './step-cache.ts';
import type { BuildEvent, BuilderOptions, BuildRequest } from './types.ts';
import { Workspace } from './workspace.ts';

/** Output of RUN that a slow reader may leave waiting; what is more is dropped, with a warning. */
const waitingOutputLimit = 64 << 20;

/**
 * Milliseconds after which what no build used is forgotten: steps (their layers go with the next collection of the
 * image store) and hashes of files. Two weeks outlast a holiday.
 */
const cacheAge = 14 * 24 * 3600_000;

/** Builds images from Dockerfiles. One instance per data root; builds may run at the same time. */
export class Builder {
  readonly #options: BuilderOptions;
  readonly #cache: StepCache;
  readonly #cacheMounts: CacheMounts;
  readonly #locks = new KeyedLock();

  constructor(options: BuilderOptions) {
    this.#options = options;
    options.state.migrate(builderSchema);
    // What builds of a killed daemon left; only one daemon has the root.
    rmSync(join(options.root, 'builds'), { recursive: true, force: true });
    this.#cache = new StepCache(options.state);
    new FileHashes(options.state).prune(Date.now() - cacheAge);
    this.#cacheMounts = new CacheMounts(options.root);
  }

  /**
   * Builds and tags an image. The events end with `done`; a failure is thrown by the iteration, after the events
   * before it. Ending the iteration early cancels the build.
   * @throws VarveError `invalid` with `data.line`; `RUN_FAILED` with `data.exitCode`; `cancelled`.
   */
  async *build(request: BuildRequest): AsyncGenerator<BuildEvent, void, void> {
    const left = new AbortController();
    const signal = request.signal ? AbortSignal.any([request.signal, left.signal]) : left.signal;
    const queue = new EventQueue<BuildEvent>();
    let waiting = 0;
    let dropped = false;
    const emit = (event: BuildEvent): void => {
      if (event.type === 'output') {
        if (waiting > waitingOutputLimit) {
          if (!dropped)
            queue.push({ type: 'warning', message: 'output was dropped: the reader is too slow' });
          dropped = true;
          return;
        }
        waiting += event.data.length;
      }
      queue.push(event);
    };
    const work = this.#run({ ...request, signal }, emit).then(
      () => queue.end(),
      (error: unknown) => queue.end(error),
    );
    try {
      for await (const event of queue) {
        if (event.type === 'output') waiting -= event.data.length;
        yield event;
      }
    } finally {
      left.abort();
      await work;
    }
  }

  async #run(request: BuildRequest, emit: (event: BuildEvent) => void): Promise<Digest> {
    const { dockerfile: text, source } = loadContext(request);
    const dockerfile = parseDockerfile(text);
    const hashes = new FileHashes(this.#options.state, request.contextHashes);
    await using workspace = new Workspace(this.#options, request.signal);
    const run = new BuildRun(
      {
        options: this.#options,
        request,
        signal: request.signal,
        emit,
        workspace,
        cache: this.#cache,
        hashes,
        cacheMounts: this.#cacheMounts,
        locks: this.#locks,
        cacheImages: () => this.#cacheImages(request),
        context: source,
      },
      dockerfile,
    );
    try {
      return await run.run();
    } finally {
      hashes.save();
      this.#cache.expire(Date.now() - cacheAge);
    }
  }

  #cacheImages(request: BuildRequest): readonly LocalImage[] {
    return request.cacheFrom.flatMap((name) => {
      try {
        return this.#options.images.resolve(name);
      } catch (error) {
        // A cache that is not here is none; the build goes on without it, as in Docker.
        if (isKind(error, 'not-found') || isKind(error, 'invalid')) return [];
        throw error;
      }
    });
  }

  /** Records of the build cache, oldest first. */
  cacheRecords(): readonly CachedStep[] {
    return this.#cache.list();
  }

  /** Stacks of layers that the cached steps of a data root need, without a builder. */
  static cachedLayers(state: State): readonly (readonly DiffID[])[] {
    return new StepCache(state).list().map((step) => step.layers);
  }

  /** Stacks of layers that cached steps need; give them to the image store so that they outlive their images. */
  layerRoots(): Iterable<readonly DiffID[]> {
    return this.#cache.list().map((step) => step.layers);
  }

  /**
   * Forgets cached steps; their layers go with the image store's next collection.
   * @param keep says which records stay; none by default.
   */
  prune(keep: (step: CachedStep) => boolean = () => false): readonly CachedStep[] {
    const gone = this.#cache.list().filter((step) => !keep(step));
    for (const step of gone) this.#cache.delete(step.key);
    return gone;
  }
}
