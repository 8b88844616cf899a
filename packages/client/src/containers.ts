import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { EngineError } from './errors.ts';
import { jsonLines, type OutputChunk, outputChunks } from './streams.ts';
import type { Transport } from './transport.ts';
import type {
  ContainerCreate,
  ContainerInspect,
  ContainerSummary,
  ExecConfig,
  ExecInspect,
  FilesystemChange,
  Filters,
  PathStat,
  PruneResult,
  RestartPolicy,
} from './types.ts';

export interface Cancellable {
  readonly signal?: AbortSignal | undefined;
}

/** A taken-over connection to a container or an exec: write to `socket` for stdin, `end()` it for its end. */
export interface Attachment {
  readonly socket: Duplex;
  /** True when output comes in frames (no terminal). */
  readonly multiplexed: boolean;
  readonly output: AsyncIterable<OutputChunk>;
}

function attachment(
  taken: { readonly socket: Duplex; readonly contentType: string },
  tty: boolean,
): Attachment {
  return { socket: taken.socket, multiplexed: !tty, output: outputChunks(taken.socket, { raw: tty }) };
}

/** `/containers` and `/exec`. Ids may be names, ids or unique prefixes. */
export class Containers {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  list(
    options: {
      readonly all?: boolean;
      readonly limit?: number;
      readonly size?: boolean;
      readonly filters?: Filters;
    } & Cancellable = {},
  ): Promise<ContainerSummary[]> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'GET', path: '/containers/json', query, signal });
  }

  create(
    config: ContainerCreate,
    options: { readonly name?: string; readonly platform?: string } & Cancellable = {},
  ): Promise<{ readonly Id: string; readonly Warnings: readonly string[] }> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'POST', path: '/containers/create', query, json: config, signal });
  }

  inspect(id: string, options: { readonly size?: boolean } & Cancellable = {}): Promise<ContainerInspect> {
    const { signal, ...query } = options;
    return this.#transport.json({ method: 'GET', path: `${at(id)}/json`, query, signal });
  }

  /** @returns false when it ran already. */
  async start(id: string, options: Cancellable = {}): Promise<boolean> {
    return (
      (await this.#transport.send({ method: 'POST', path: `${at(id)}/start`, accept: [304], ...options })) !==
      304
    );
  }

  /** @param options.timeout seconds before SIGKILL. @returns false when it had stopped already. */
  async stop(
    id: string,
    options: {
      readonly timeout?: number | undefined;
      readonly signalName?: string | undefined;
    } & Cancellable = {},
  ): Promise<boolean> {
    const query = { t: options.timeout, signal: options.signalName };
    return (
      (await this.#transport.send({
        method: 'POST',
        path: `${at(id)}/stop`,
        query,
        accept: [304],
        signal: options.signal,
      })) !== 304
    );
  }

  async restart(
    id: string,
    options: {
      readonly timeout?: number | undefined;
      readonly signalName?: string | undefined;
    } & Cancellable = {},
  ): Promise<void> {
    const query = { t: options.timeout, signal: options.signalName };
    await this.#transport.send({ method: 'POST', path: `${at(id)}/restart`, query, signal: options.signal });
  }

  async kill(id: string, signalName?: string, options: Cancellable = {}): Promise<void> {
    const query = { signal: signalName };
    await this.#transport.send({ method: 'POST', path: `${at(id)}/kill`, query, ...options });
  }

  async pause(id: string, options: Cancellable = {}): Promise<void> {
    await this.#transport.send({ method: 'POST', path: `${at(id)}/pause`, ...options });
  }

  async unpause(id: string, options: Cancellable = {}): Promise<void> {
    await this.#transport.send({ method: 'POST', path: `${at(id)}/unpause`, ...options });
  }

  async rename(id: string, name: string, options: Cancellable = {}): Promise<void> {
    await this.#transport.send({ method: 'POST', path: `${at(id)}/rename`, query: { name }, ...options });
  }

  update(
    id: string,
    resources: Readonly<Record<string, unknown>> & { readonly RestartPolicy?: RestartPolicy },
    options: Cancellable = {},
  ): Promise<{ readonly Warnings: readonly string[] | null }> {
    return this.#transport.json({ method: 'POST', path: `${at(id)}/update`, json: resources, ...options });
  }

  async remove(
    id: string,
    options: { readonly force?: boolean; readonly volumes?: boolean } & Cancellable = {},
  ): Promise<void> {
    const query = { force: options.force, v: options.volumes };
    await this.#transport.send({ method: 'DELETE', path: at(id), query, signal: options.signal });
  }

  /** Resolves with the exit code; the answer is under way when `onReady` is called, so that start can follow it. */
  async wait(
    id: string,
    options: {
      readonly condition?: 'not-running' | 'next-exit' | 'removed';
      readonly onReady?: () => void;
    } & Cancellable = {},
  ): Promise<{ readonly StatusCode: number; readonly Error?: { readonly Message: string } | null }> {
    const message = await this.#transport.open({
      method: 'POST',
      path: `${at(id)}/wait`,
      query: { condition: options.condition },
      signal: options.signal,
    });
    options.onReady?.();
    for await (const line of jsonLines<{ StatusCode: number }>(message, 'POST /containers/wait')) return line;
    throw new EngineError(0, 'the engine ended the wait without an exit code', 'POST /containers/wait');
  }

  async resize(id: string, rows: number, columns: number, options: Cancellable = {}): Promise<void> {
    const query = { h: rows, w: columns };
    await this.#transport.send({ method: 'POST', path: `${at(id)}/resize`, query, ...options });
  }

  /** Connects to the container's streams. @param options.tty as in its config: decides whether output is framed. */
  async attach(
    id: string,
    options: {
      readonly tty: boolean;
      readonly stdin?: boolean;
      readonly stdout?: boolean;
      readonly stderr?: boolean;
      readonly logs?: boolean;
      readonly stream?: boolean;
      readonly detachKeys?: string | undefined;
    } & Cancellable,
  ): Promise<Attachment> {
    const { tty, signal, ...query } = options;
    return attachment(
      await this.#transport.hijack({
        method: 'POST',
        path: `${at(id)}/attach`,
        query: { stream: true, stdout: true, stderr: true, ...query },
        headers: { 'content-type': 'text/plain' },
        signal,
      }),
      tty,
    );
  }

  async *logs(
    id: string,
    options: {
      readonly tty: boolean;
      readonly follow?: boolean;
      readonly stdout?: boolean;
      readonly stderr?: boolean;
      readonly since?: string | undefined;
      readonly until?: string | undefined;
      readonly timestamps?: boolean;
      readonly tail?: string | undefined;
      readonly details?: boolean;
    } & Cancellable,
  ): AsyncGenerator<OutputChunk, void, void> {
    const { tty, signal, ...query } = options;
    const message = await this.#transport.open({
      method: 'GET',
      path: `${at(id)}/logs`,
      query: { stdout: true, stderr: true, ...query },
      signal,
    });
    yield* outputChunks(message, { raw: tty });
  }

  top(
    id: string,
    psArguments?: string,
    options: Cancellable = {},
  ): Promise<{ readonly Titles: readonly string[]; readonly Processes: readonly (readonly string[])[] }> {
    const query = { ps_args: psArguments };
    return this.#transport.json({ method: 'GET', path: `${at(id)}/top`, query, ...options });
  }

  async *stats(
    id: string,
    options: { readonly stream?: boolean; readonly oneShot?: boolean } & Cancellable = {},
  ): AsyncGenerator<Readonly<Record<string, unknown>>, void, void> {
    const message = await this.#transport.open({
      method: 'GET',
      path: `${at(id)}/stats`,
      query: { stream: options.stream ?? true, 'one-shot': options.oneShot },
      signal: options.signal,
    });
    yield* jsonLines(message, 'GET /containers/stats');
  }

  async changes(id: string, options: Cancellable = {}): Promise<readonly FilesystemChange[]> {
    const path = `${at(id)}/changes`;
    return (await this.#transport.json<FilesystemChange[] | null>({ method: 'GET', path, ...options })) ?? [];
  }

  /** The whole file system as a tar. */
  export(id: string, options: Cancellable = {}): Promise<IncomingMessage> {
    return this.#transport.open({ method: 'GET', path: `${at(id)}/export`, ...options });
  }

  async statPath(id: string, path: string, options: Cancellable = {}): Promise<PathStat> {
    const message = await this.#transport.open({
      method: 'HEAD',
      path: `${at(id)}/archive`,
      query: { path },
      ...options,
    });
    message.resume();
    return pathStat(message);
  }

  /** A file or folder as a tar whose top entry is its base name. */
  async getArchive(
    id: string,
    path: string,
    options: Cancellable = {},
  ): Promise<{ readonly stat: PathStat; readonly archive: IncomingMessage }> {
    const archive = await this.#transport.open({
      method: 'GET',
      path: `${at(id)}/archive`,
      query: { path },
      ...options,
    });
    return { stat: pathStat(archive), archive };
  }

  /** Unpacks a tar into a folder of the container. */
  async putArchive(
    id: string,
    path: string,
    archive: Readable,
    options: { readonly noOverwriteDirNonDir?: boolean; readonly copyUIDGID?: boolean } & Cancellable = {},
  ): Promise<void> {
    const { signal, ...query } = options;
    await this.#transport.send({
      method: 'PUT',
      path: `${at(id)}/archive`,
      query: { path, ...query },
      headers: { 'content-type': 'application/x-tar' },
      body: archive,
      signal,
    });
  }

  commit(
    id: string,
    options: {
      readonly repo?: string | undefined;
      readonly tag?: string | undefined;
      readonly comment?: string | undefined;
      readonly author?: string | undefined;
      readonly pause?: boolean;
      readonly changes?: readonly string[];
    } & Cancellable = {},
  ): Promise<{ readonly Id: string }> {
    const { signal, ...query } = options;
    return this.#transport.json({
      method: 'POST',
      path: '/commit',
      query: { container: id, ...query },
      json: {},
      signal,
    });
  }

  prune(filters: Filters = {}, options: Cancellable = {}): Promise<PruneResult> {
    const query = { filters };
    return this.#transport.json({ method: 'POST', path: '/containers/prune', query, ...options });
  }

  createExec(id: string, config: ExecConfig, options: Cancellable = {}): Promise<{ readonly Id: string }> {
    return this.#transport.json({ method: 'POST', path: `${at(id)}/exec`, json: config, ...options });
  }

  async startExec(execId: string, options: { readonly tty: boolean } & Cancellable): Promise<Attachment> {
    const taken = await this.#transport.hijack({
      method: 'POST',
      path: `${atExec(execId)}/start`,
      json: { Detach: false, Tty: options.tty },
      signal: options.signal,
    });
    return attachment(taken, options.tty);
  }

  async startExecDetached(execId: string, options: Cancellable = {}): Promise<void> {
    await this.#transport.send({
      method: 'POST',
      path: `${atExec(execId)}/start`,
      json: { Detach: true, Tty: false },
      ...options,
    });
  }

  async resizeExec(execId: string, rows: number, columns: number, options: Cancellable = {}): Promise<void> {
    const query = { h: rows, w: columns };
    await this.#transport.send({ method: 'POST', path: `${atExec(execId)}/resize`, query, ...options });
  }

  inspectExec(execId: string, options: Cancellable = {}): Promise<ExecInspect> {
    return this.#transport.json({ method: 'GET', path: `${atExec(execId)}/json`, ...options });
  }
}

function at(id: string): string {
  return `/containers/${encodeURIComponent(id)}`;
}

function atExec(id: string): string {
  return `/exec/${encodeURIComponent(id)}`;
}

function pathStat(message: IncomingMessage): PathStat {
  const header = message.headers['x-docker-container-path-stat'];
  return JSON.parse(Buffer.from(String(header ?? 'e30='), 'base64').toString()) as PathStat;
}
