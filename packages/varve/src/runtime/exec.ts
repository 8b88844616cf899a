import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VarveError } from '../base/index.ts';
import { connectSeqpacket } from '../linux/index.ts';
import {
  type ConmonLauncher,
  conmonComplaint,
  findConmon,
  resizeTerminal,
  type StartedConmon,
} from './conmon.ts';
import { readRecord, readSpec } from './container-record.ts';
import { execError } from './errors.ts';
import { endConmon } from './exec-sessions.ts';
import type { Layout } from './layout.ts';
import { buildExecProcess } from './spec/build-spec.ts';
import { encodeSpec } from './spec/encode.ts';
import { SocketStreams } from './streams.ts';
import type { ExecSpec, RunningExec } from './types.ts';

const sessionFile = 'container';
const CONMON_END_MS = 2000;

/** What an exec needs of the runtime. */
export interface ExecContext {
  readonly layout: Layout;
  readonly launcher: ConmonLauncher;
  readonly bufferBytes: number;
}

// conmon passes 128 + signal on, and its own failures as negative numbers.
function exitCodeOf(data: number): number {
  return data < 0 ? 255 : data;
}

/**
 * Starts a process in a running container under a conmon of its own. The order is conmon's: it listens, we connect,
 * only then the runtime is started, so no output is lost. The exit is complete only when both the exit code has come
 * over the pipe and the attach socket has ended: the code alone may be ahead of the last output.
 */
export async function startExec(
  context: ExecContext,
  id: string,
  execId: string,
  spec: ExecSpec,
): Promise<RunningExec> {
  const { layout } = context;
  const bundle = layout.bundle(id);
  const sameUser = spec.user === readRecord(bundle, id).user;
  const process = buildExecProcess(readSpec(bundle), sameUser ? { ...spec, user: '' } : spec);
  const folder = layout.session(execId);
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    throw new VarveError('conflict', 'EXEC_EXISTS', `exec "${execId}" exists`, {
      subject: execId,
      cause: error,
    });
  }
  const cleanUp = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  let conmon: StartedConmon | undefined;
  try {
    mkdirSync(join(folder, 'persist'), { mode: 0o700 });
    writeFileSync(join(folder, sessionFile), id, { mode: 0o600 });
    const processFile = join(folder, 'process.json');
    writeFileSync(processFile, encodeSpec(process), { mode: 0o600 });
    conmon = context.launcher.start({
      containerId: id,
      uuid: execId,
      name: execId,
      bundle: folder,
      // The exit file is named after the container; in the common folder it would end the container.
      exitDir: join(folder, 'exit'),
      logPath: undefined,
      tty: spec.tty,
      stdin: spec.openStdin,
      leaveStdinOpen: spec.tty,
      execProcess: processFile,
    });
    return await runSession(context, conmon, { id, execId, folder, spec, cleanUp });
  } catch (error) {
    conmon?.close();
    cleanUp();
    throw error;
  }
}

interface Session {
  readonly id: string;
  readonly execId: string;
  readonly folder: string;
  readonly spec: ExecSpec;
  readonly cleanUp: () => void;
}

async function runSession(
  context: ExecContext,
  conmon: StartedConmon,
  session: Session,
): Promise<RunningExec> {
  const { id, execId, folder, spec } = session;
  conmon.go();
  const ready = await conmon.attachReady?.next();
  if (ready === undefined) throw execError(id, conmonComplaint(folder));
  const socket = await connectSeqpacket(join(folder, 'attach'));
  // Its only reader may hold it as long as it likes: nothing but this one process waits.
  const streams = new SocketStreams(socket, {
    stdin: spec.openStdin,
    limits: { bufferBytes: context.bufferBytes, stallMs: undefined },
  });
  conmon.go();
  const started = await conmon.sync.next();
  if (started === undefined || started.data <= 0) {
    streams.close();
    throw execError(id, started?.message ?? conmonComplaint(folder));
  }
  const exit = (async () => {
    const [answer] = await Promise.all([conmon.sync.next(), streams.ended]);
    conmon.close();
    const last = findConmon(folder, execId);
    if (last !== undefined) await endConmon(last, CONMON_END_MS);
    session.cleanUp();
    return exitCodeOf(answer?.data ?? -1);
  })();
  exit.catch(() => undefined);
  return {
    pid: started.data,
    streams,
    exit,
    resize: async (rows, columns) => {
      await resizeTerminal(folder, rows, columns);
    },
  };
}
