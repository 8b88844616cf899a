import { announcesBody } from '../body.ts';
import { parseExecBody, parseExecStartBody } from '../create-body.ts';
import { DetachScanner, parseDetachKeys } from '../detach-keys.ts';
import type { Exchange } from '../exchange.ts';
import type { Connection } from '../hijack.ts';
import { pumpInput } from '../pump.ts';
import type { Route } from '../route.ts';
import { failureAnswer } from '../status.ts';
import { frame, outputMediaType } from '../stdcopy.ts';
import { since } from '../versions.ts';
import { pumpOutput, terminalSize } from './streams.ts';

async function create(exchange: Exchange): Promise<void> {
  const body = parseExecBody(await exchange.json());
  exchange.send(201, { Id: exchange.engine.execs.create(exchange.parameter('id'), body).id });
}

async function start(exchange: Exchange): Promise<void> {
  const { engine, version } = exchange;
  const id = exchange.parameter('id');
  const body = parseExecStartBody(announcesBody(exchange.request) ? await exchange.json() : {});
  const exec = engine.core.execs.get(id);
  const [rows = 0, columns = 0] = body.ConsoleSize ?? [];
  if (body.Detach) {
    await engine.execs.startDetached(id);
    exchange.sendStatus(200);
    return;
  }
  engine.execs.check(id);
  const { tty } = exec.spec;
  const connection = await exchange.hijack(outputMediaType(tty, version >= since.streamMediaTypes));
  let started: Awaited<ReturnType<typeof engine.execs.start>>;
  try {
    started = await engine.execs.start(
      id,
      rows > 0 && columns > 0 ? { terminalSize: { rows, columns } } : {},
    );
  } catch (error) {
    // The head is out already: Docker's clients expect the failure as text in the stream.
    const text = Buffer.from(`${failureAnswer(error).message}\r\n`);
    connection.output.write(tty ? text : frame(1, text));
    connection.end();
    return;
  }
  await serve(connection, started, { tty, detachKeys: exec.detachKeys, stdin: exec.attachStdin });
}

async function serve(
  connection: Connection,
  started: Awaited<ReturnType<Exchange['engine']['execs']['start']>>,
  options: { readonly tty: boolean; readonly detachKeys: string; readonly stdin: boolean },
): Promise<void> {
  const { streams, exit } = started;
  const close = (): void => streams.close();
  connection.closed.addEventListener('abort', close, { once: true });
  if (connection.closed.aborted) close();
  void pumpInput(connection.input, options.stdin ? streams.input : undefined, {
    ...(options.tty ? { scanner: new DetachScanner(parseDetachKeys(options.detachKeys)) } : {}),
    onDetach: close,
  });
  try {
    await pumpOutput(streams.output, connection, options.tty);
    // Clients ask for the exit code as soon as the stream ends: it must be known by then.
    if (!connection.closed.aborted) await Promise.race([exit, aborted(connection.closed)]);
  } finally {
    connection.end();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function inspect(exchange: Exchange): void {
  const { engine } = exchange;
  const exec = engine.core.execs.get(exchange.parameter('id'));
  const [entrypoint = '', ...args] = exec.spec.args;
  exchange.send(200, {
    ID: exec.id,
    Running: exec.started && exec.exitCode === undefined,
    ExitCode: exec.exitCode ?? null,
    ProcessConfig: {
      tty: exec.spec.tty,
      entrypoint,
      arguments: args,
      privileged: exec.spec.privileged,
      ...(exec.spec.user === '' ? {} : { user: exec.spec.user }),
    },
    OpenStdin: exec.attachStdin,
    OpenStderr: exec.attachStderr,
    OpenStdout: exec.attachStdout,
    CanRemove: exec.exitCode !== undefined,
    ContainerID: exec.containerId,
    DetachKeys: exec.detachKeys,
    Pid: exec.pid,
  });
}

async function resize(exchange: Exchange): Promise<void> {
  const { rows, columns } = terminalSize(exchange);
  await exchange.engine.execs.resize(exchange.parameter('id'), rows, columns);
  exchange.sendStatus(200);
}

export const execRoutes: readonly Route[] = [
  { method: 'POST', path: '/containers/{id}/exec', handle: create },
  { method: 'POST', path: '/exec/{id}/start', hijacks: true, handle: start },
  { method: 'GET', path: '/exec/{id}/json', handle: inspect },
  { method: 'POST', path: '/exec/{id}/resize', handle: resize },
];
