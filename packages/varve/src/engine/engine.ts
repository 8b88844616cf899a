import { randomUUID } from 'node:crypto';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { close, tryLock } from '../linux/index.ts';
import { copyFrom, copyTo, statPath } from './archive.ts';
import { attachContainer, resizeContainer } from './attach.ts';
import { type Bound, bind } from './bind.ts';
import { buildImage, pruneBuildCache, removeLeftContexts } from './build.ts';
import { Cleanups } from './cleanups.ts';
import { commitContainer } from './commit.ts';
import { ContainerStore } from './container-store.ts';
import type { EngineCore } from './core.ts';
import { createContainer } from './create.ts';
import { EventBus } from './events.ts';
import { checkExec, createExec, resizeExec, startExec, startExecDetached } from './exec.ts';
import { ExecStore } from './exec-store.ts';
import { checkStores } from './check/check-stores.ts';
import { explainImagePath, explainImageSize, imageLayers } from './explain.ts';
import { containerChanges, exportContainer } from './filesystem.ts';
import {
  importImage,
  inspectRemote,
  loadImages,
  login,
  pruneImages,
  pullImage,
  pushImage,
  removeImage,
  saveImages,
  tagImage,
} from './images.ts';
import { listContainers } from './list.ts';
import { containerLogs } from './logs.ts';
import {
  connectContainer,
  createNetwork,
  disconnectContainer,
  pruneNetworks,
  removeNetwork,
} from './networks.ts';
import type { EngineParts } from './parts.ts';
import { pruneContainers, removeContainer } from './remove.ts';
import { renameContainer } from './rename.ts';
import { restoreContainers } from './restore.ts';
import { stopAllContainers } from './shutdown.ts';
import { startContainer } from './start.ts';
import { containerStats } from './stats.ts';
import { EngineStepRunner } from './step-runner.ts';
import { killContainer, pauseContainer, restartContainer, stopContainer, unpauseContainer } from './stop.ts';
import { containerSize, diskUsage, systemInfo } from './system.ts';
import { containerTop } from './top.ts';
import { updateContainer } from './update.ts';
import { createVolume, pruneVolumes, removeVolume } from './volumes.ts';
import { waitContainer } from './wait.ts';

const containerUses = {
  create: createContainer,
  start: startContainer,
  stop: stopContainer,
  restart: restartContainer,
  kill: killContainer,
  pause: pauseContainer,
  unpause: unpauseContainer,
  rename: renameContainer,
  update: updateContainer,
  remove: removeContainer,
  prune: pruneContainers,
  wait: waitContainer,
  attach: attachContainer,
  resize: resizeContainer,
  logs: containerLogs,
  stats: containerStats,
  top: containerTop,
  changes: containerChanges,
  list: listContainers,
  export: exportContainer,
  statPath,
  copyFrom,
  copyTo,
  size: containerSize,
} as const;

const execUses = {
  create: createExec,
  check: checkExec,
  start: startExec,
  startDetached: startExecDetached,
  resize: resizeExec,
} as const;

const imageUses = {
  pull: pullImage,
  push: pushImage,
  tag: tagImage,
  remove: removeImage,
  prune: pruneImages,
  load: loadImages,
  save: saveImages,
  import: importImage,
  build: buildImage,
  pruneBuildCache,
  commit: commitContainer,
  login,
  inspectRemote,
  explainPath: explainImagePath,
  explainSize: explainImageSize,
  layers: imageLayers,
} as const;

const networkUses = {
  create: createNetwork,
  remove: removeNetwork,
  connect: connectContainer,
  disconnect: disconnectContainer,
  prune: pruneNetworks,
} as const;

const volumeUses = { create: createVolume, remove: removeVolume, prune: pruneVolumes } as const;

const systemUses = { info: systemInfo, diskUsage, check: checkStores } as const;

/**
 * The engine: containers, images, networks and volumes under one data root, with Docker's rules and words. It knows
 * nothing of HTTP; `api/` and the command line are its faces. {@link Engine.open} brings it up, {@link Engine.close}
 * down.
 */
export class Engine implements AsyncDisposable {
  readonly core: EngineCore;
  readonly containers: Bound<EngineCore, typeof containerUses>;
  readonly execs: Bound<EngineCore, typeof execUses>;
  readonly images: Bound<EngineCore, typeof imageUses>;
  readonly networks: Bound<EngineCore, typeof networkUses>;
  readonly volumes: Bound<EngineCore, typeof volumeUses>;
  readonly system: Bound<EngineCore, typeof systemUses>;
  readonly #lock: number;
  #closed: Promise<void> | undefined;

  private constructor(parts: EngineParts, lock: number) {
    const containers = new ContainerStore(parts.state);
    const core: EngineCore = {
      ...parts,
      containers,
      execs: new ExecStore(),
      events: new EventBus(),
      cleanups: new Cleanups(),
      closing: new AbortController(),
      restored: Promise.withResolvers<void>(),
      bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      id: containers.setting('engine-id', randomUUID),
      build: parts.builder?.(new EngineStepRunner(() => core)),
    };
    this.core = core;
    this.containers = bind(core, containerUses);
    this.execs = bind(core, execUses);
    this.images = bind(core, imageUses);
    this.networks = bind(core, networkUses);
    this.volumes = bind(core, volumeUses);
    this.system = bind(core, systemUses);
    this.#lock = lock;
  }

  get events(): EventBus {
    return this.core.events;
  }

  /**
   * Takes a data root for this process. Do it before any other part opens files there.
   * @throws VarveError `conflict` when another engine has it.
   */
  static lockRoot(root: string): number {
    mkdirSync(root, { recursive: true, mode: 0o710 });
    const fd = openSync(join(root, 'engine.lock'), 'a', 0o600);
    if (tryLock(fd) === true) return fd;
    close(fd);
    throw new VarveError('conflict', 'ROOT_IN_USE', `another engine uses ${root}`, {
      subject: root,
      hint: 'stop it, or give this one another --data-root',
    });
  }

  /**
   * Composes an engine, adopts what runs from an earlier one and sweeps what is left over.
   * @param lock what {@link Engine.lockRoot} gave; the engine releases it when it closes.
   */
  static async open(parts: EngineParts, lock: number): Promise<Engine> {
    mkdirSync(join(parts.root, 'containers'), { recursive: true, mode: 0o710 });
    removeLeftContexts(parts.root);
    const engine = new Engine(parts, lock);
    await restoreContainers(engine.core);
    engine.core.restored.resolve();
    return engine;
  }

  /**
   * Stops the containers (unless `liveRestore`), then all that the engine itself runs. The parts given to
   * {@link Engine.open} stay the caller's to close, after this.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { core } = this;
    core.events.publish('daemon', 'shutdown', core.id, { name: core.config.hostName });
    await stopAllContainers(core);
    await core.cleanups.settled();
    core.closing.abort();
    core.events.close();
    for (const container of core.containers.list()) container.healthTimer?.abort();
    await core.runtime.close();
    await core.networks.shutdown();
    close(this.#lock);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
