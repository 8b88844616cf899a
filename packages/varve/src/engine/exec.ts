import { randomId, VarveError } from '../base/index.ts';
import type { AttachedStreams } from '../runtime/index.ts';
import type { Container } from './container.ts';
import { type EngineCore, publishContainer } from './core.ts';
import type { Exec } from './exec-store.ts';
import { processEnvironment } from './runtime-spec.ts';
import { defaultPath, mergeEnvironment } from './settings.ts';
import { requireRunning } from './stop.ts';

/** What `docker exec` asks for; names as in the Docker API. */
export interface ExecRequest {
  readonly User?: string;
  readonly Privileged?: boolean;
  readonly Tty?: boolean;
  readonly AttachStdin?: boolean;
  readonly AttachStdout?: boolean;
  readonly AttachStderr?: boolean;
  readonly DetachKeys?: string;
  readonly Env?: readonly string[] | null;
  readonly WorkingDir?: string;
  readonly Cmd?: readonly string[] | null;
  readonly ConsoleSize?: readonly [number, number] | null;
}

/** Prepares an exec. @throws VarveError `conflict` when the container does not run, `invalid` without a command. */
export function createExec(
  core: EngineCore,
  nameOrId: string,
  request: ExecRequest,
): { readonly id: string } {
  const container = core.containers.resolve(nameOrId);
  requireRunning(container);
  const args = request.Cmd ?? [];
  if (args.length === 0) throw new VarveError('invalid', 'NO_EXEC_COMMAND', 'No exec command specified');
  const { record } = container;
  const tty = request.Tty ?? false;
  const own = processEnvironment(record, tty);
  const [rows = 0, columns = 0] = request.ConsoleSize ?? [];
  const exec = core.execs.add({
    id: randomId(),
    containerId: container.id,
    attachStdin: request.AttachStdin ?? false,
    attachStdout: request.AttachStdout ?? false,
    attachStderr: request.AttachStderr ?? false,
    detachKeys: request.DetachKeys ?? '',
    spec: {
      args,
      env: mergeEnvironment(own.length > 0 ? own : [defaultPath], request.Env ?? []),
      workingDir: request.WorkingDir || record.config.WorkingDir || '/',
      user: request.User || (record.config.User ?? ''),
      tty,
      openStdin: request.AttachStdin ?? false,
      privileged: request.Privileged ?? false,
      ...(tty && rows > 0 && columns > 0 ? { terminalSize: { rows, columns } } : {}),
    },
  });
  // The trailing space is moby's: arguments are appended one by one.
  publishContainer(core, container, `exec_create: ${args.join(' ')} `, { execID: exec.id });
  return { id: exec.id };
}

/** A started exec: its streams, and the exit code once all output has been delivered. */
export interface StartedExec {
  readonly tty: boolean;
  readonly streams: AttachedStreams;
  readonly exit: Promise<number>;
}

/** The exec and its container, ready to start. @throws VarveError `not-found`, `conflict`. */
export function checkExec(
  core: EngineCore,
  id: string,
): { readonly exec: Exec; readonly container: Container } {
  const exec = core.execs.get(id);
  const container = core.containers.resolve(exec.containerId);
  if (exec.started) {
    const why = exec.exitCode === undefined ? 'is already running' : 'has already run';
    throw new VarveError('conflict', 'EXEC_STARTED', `exec command ${id} ${why}`, { subject: id });
  }
  requireRunning(container);
  return { exec, container };
}

/**
 * Starts an exec once.
 * @throws VarveError `conflict` when it has run or the container does not; `invalid` with data.exitCode when its
 * program cannot run (the exec then has that exit code).
 */
export async function startExec(
  core: EngineCore,
  id: string,
  options: { readonly terminalSize?: { readonly rows: number; readonly columns: number } } = {},
): Promise<StartedExec> {
  const { exec, container } = checkExec(core, id);
  exec.started = true;
  publishContainer(core, container, `exec_start: ${exec.spec.args.join(' ')} `, { execID: id });
  try {
    const running = await core.runtime.exec(container.id, id, {
      ...exec.spec,
      ...(options.terminalSize ? { terminalSize: options.terminalSize } : {}),
    });
    exec.running = running;
    exec.pid = running.pid;
    const exit = running.exit.then(
      (code) => finish(core, container, exec, code),
      (error: unknown) => {
        core.log('warn', 'an exec was lost', { id, error: String(error) });
        return finish(core, container, exec, 137);
      },
    );
    return { tty: exec.spec.tty, streams: running.streams, exit };
  } catch (error) {
    const code = VarveError.is(error) ? error.data?.['exitCode'] : undefined;
    finish(core, container, exec, typeof code === 'number' ? code : 126);
    throw error;
  }
}

function finish(core: EngineCore, container: Container, exec: Exec, code: number): number {
  exec.exitCode = code;
  exec.running = undefined;
  publishContainer(core, container, 'exec_die', { execID: exec.id, exitCode: String(code) });
  exec.signals.emit('end', code);
  return code;
}

/** Starts an exec and reads its output away (`docker exec -d`). */
export async function startExecDetached(core: EngineCore, id: string): Promise<void> {
  const { streams, exit } = await startExec(core, id);
  streams.input?.end();
  void (async () => {
    const iterator = streams.output[Symbol.asyncIterator]();
    while (!(await iterator.next()).done);
    await exit;
  })().catch(() => undefined);
}

/** Tells an exec's terminal its size. @throws VarveError `conflict` when it does not run. */
export async function resizeExec(core: EngineCore, id: string, rows: number, columns: number): Promise<void> {
  const exec = core.execs.get(id);
  if (!exec.running) {
    throw new VarveError('conflict', 'EXEC_NOT_RUNNING', `exec ${id} is not running`, { subject: id });
  }
  await exec.running.resize(rows, columns);
}
