import { EventEmitter } from 'node:events';
import type { AttachedStreams, ContainerExit } from '../runtime/index.ts';
import type { ContainerRecord, ContainerState } from './types.ts';

/** How a wait on a container may end: `docker wait`, `docker run -d`, `docker run --rm`. */
export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

export interface WaitResult {
  readonly exitCode: number;
  readonly error?: string;
}

/** Someone who wants the streams of a container that does not run yet. */
export interface PendingAttach {
  readonly connect: (streams: AttachedStreams) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * A container in memory: its record, and what lives only while the engine does. Its events are internal signals:
 * `exit` (WaitResult) after each end of its process, `removed` (WaitResult) when it is gone.
 */
export class Container {
  record: ContainerRecord;
  /** Attach clients that came before the start. */
  readonly pendingAttach = new Set<PendingAttach>();
  /** Fires `exit` and `removed`. */
  readonly signals = new EventEmitter();
  /** Ends the health checks of the present run. */
  healthTimer: AbortController | undefined;
  /** Ends a restart that waits for its back-off. */
  restartTimer: AbortController | undefined;
  /** Set by stop, kill and remove: the policy then leaves the container alone. */
  stopRequested = false;
  /** `docker restart` is at work: an auto-remove container survives the stop in the middle. */
  restarting = false;
  /** Back-off before the next restart, milliseconds; 0 at first. */
  restartDelayMs = 0;
  /** Resolves when the exit of the present run has been handled whole. */
  exitHandled: Promise<void> = Promise.resolve();
  /** Resolves when the end of the present run is in the record; its resources may still be on their way back. */
  exitKnown: Promise<void> = Promise.resolve();
  /** Resolves when the signal that is being sent has been told. */
  signalled: Promise<void> = Promise.resolve();
  /** Filled in once the removal has begun. */
  removal: Promise<void> | undefined;
  /** The root file system is mounted and this many use it. */
  rootfs: string | undefined;

  constructor(record: ContainerRecord) {
    this.record = record;
    this.signals.setMaxListeners(0);
  }

  get id(): string {
    return this.record.id;
  }

  get name(): string {
    return this.record.name;
  }

  get state(): ContainerState {
    return this.record.state;
  }

  /** A process of it exists: running or paused (a restarting one has none). */
  get running(): boolean {
    return this.state.status === 'running' || this.state.status === 'paused';
  }

  /** The signal's value at its next firing, or undefined when `signal` aborts first. */
  next(name: 'exit' | 'removed', signal?: AbortSignal): Promise<WaitResult | undefined> {
    return new Promise((resolve) => {
      const done = (result?: WaitResult): void => {
        this.signals.off(name, done);
        signal?.removeEventListener('abort', aborted);
        resolve(result);
      };
      const aborted = (): void => done();
      this.signals.on(name, done);
      signal?.addEventListener('abort', aborted, { once: true });
      if (signal?.aborted) done();
    });
  }
}

/** What the runtime told about an end, with the engine's view of it. */
export type Ended = ContainerExit;
