import { isKind, VarveError } from '../base/index.ts';
import type { AttachedStreams } from '../runtime/index.ts';
import type { Container } from './container.ts';
import { type EngineCore, publishContainer } from './core.ts';
import { containerLogs, endKnown } from './logs.ts';

export interface AttachOptions {
  /** Replay what was written so far. */
  readonly logs: boolean;
  /** Go on with what comes. */
  readonly stream: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly signal?: AbortSignal;
}

/** One client at a container's streams. */
export interface Attachment {
  readonly tty: boolean;
  readonly output: AsyncIterable<{ readonly stream: 1 | 2; readonly data: Buffer }>;
  /** Resolves when input can be written: at once, or when the container starts; undefined when it takes none. */
  readonly input: Promise<AttachedStreams['input']>;
  close(): void;
}

/** The streams of a run that may not have begun. */
function connect(core: EngineCore, container: Container, signal: AbortSignal): Promise<AttachedStreams> {
  if (container.running) return core.runtime.attach(container.id);
  return new Promise((resolve, reject) => {
    const pending = {
      connect: resolve,
      // A start that failed is told to the one who started it; here the streams just end.
      fail: () => reject(new VarveError('cancelled', 'NOT_STARTED', 'the container did not start')),
    };
    container.pendingAttach.add(pending);
    const stop = (): void => {
      container.pendingAttach.delete(pending);
      reject(new VarveError('cancelled', 'CANCELLED', 'the client went away'));
    };
    signal.addEventListener('abort', stop, { once: true });
    // A container that is removed without ever starting ends the wait.
    void container.next('removed', signal).then(stop);
  });
}

/**
 * Attaches to a container, started or not.
 * @throws VarveError `not-found`; `conflict` when it is paused.
 */
export function attachContainer(core: EngineCore, nameOrId: string, options: AttachOptions): Attachment {
  const container = core.containers.resolve(nameOrId);
  if (container.state.status === 'paused') {
    throw new VarveError(
      'conflict',
      'PAUSED',
      `container ${container.id} is paused, unpause the container before attach`,
    );
  }
  const { Tty: tty, OpenStdin } = container.record.config;
  const ended = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
  const wants = (stream: 1 | 2): boolean => (stream === 1 ? options.stdout : options.stderr && !tty);
  publishContainer(core, container, 'attach');
  const replay = (follow: boolean): AsyncIterable<{ readonly stream: 1 | 2; readonly data: Buffer }> =>
    containerLogs(core, nameOrId, { stdout: options.stdout, stderr: options.stderr, follow, signal });
  if (!options.stream) {
    return {
      tty,
      output: options.logs ? replay(false) : nothing(),
      input: Promise.resolve(undefined),
      close: () => ended.abort(),
    };
  }
  const streams = connect(core, container, signal);
  streams.catch(() => undefined);
  // Without a terminal the log holds every byte in order: following it is replay and stream without a seam.
  const fromLog = options.logs && !tty && container.running;
  const output = async function* (): AsyncGenerator<{ readonly stream: 1 | 2; readonly data: Buffer }> {
    try {
      if (fromLog) {
        yield* replay(true);
        return;
      }
      if (options.logs) yield* replay(false);
      let attached: AttachedStreams;
      try {
        attached = await streams;
      } catch (error) {
        if (signal.aborted || isKind(error, 'cancelled')) return;
        throw error;
      }
      for await (const chunk of attached.output) if (wants(chunk.stream)) yield chunk;
      await endKnown(container, signal);
    } finally {
      ended.abort();
      void streams.then((attached) => attached.close()).catch(() => undefined);
    }
  };
  if (fromLog) void streams.then(drain).catch(() => undefined);
  return {
    tty,
    output: output(),
    input:
      options.stdin && OpenStdin ? streams.then((attached) => attached.input) : Promise.resolve(undefined),
    close: () => {
      ended.abort();
      void streams.then((attached) => attached.close()).catch(() => undefined);
    },
  };
}

/** Reads and drops: the supervisor blocks the container when an attached client does not read. */
async function drain(streams: AttachedStreams): Promise<void> {
  const iterator = streams.output[Symbol.asyncIterator]();
  while (!(await iterator.next()).done);
}

async function* nothing(): AsyncGenerator<never> {}

/** Tells the terminal's size. @throws VarveError `conflict` when it does not run. */
export async function resizeContainer(
  core: EngineCore,
  nameOrId: string,
  rows: number,
  columns: number,
): Promise<void> {
  const container = core.containers.resolve(nameOrId);
  if (!container.running) {
    throw new VarveError('conflict', 'CONTAINER_NOT_RUNNING', `container ${container.id} is not running`);
  }
  await core.runtime.resize(container.id, rows, columns);
  publishContainer(core, container, 'resize', { height: String(rows), width: String(columns) });
}
