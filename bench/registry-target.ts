import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { type Reply, Wire } from './wire.ts';

/** A registry's process to be measured. */
export interface Target {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
  readonly pid: number;
}

// USER_HZ, which is 100 on every Linux that is in use (proc_pid_stat(5)).
const ticksPerSecond = 100;

/** Processor time that a process with all its threads has used so far, user and system. */
export function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function expect(reply: Reply, status: number): Reply {
  if (reply.status !== status) throw new Error(`answered ${reply.status}, not ${status}`);
  return reply;
}

export async function pushBlob(
  wire: Wire,
  repository: string,
  bytes: Uint8Array,
  digest = sha256(bytes),
): Promise<string> {
  const { location } = expect(await wire.send('POST', `/v2/${repository}/blobs/uploads/`), 202);
  const url = new URL(location, 'http://registry');
  url.searchParams.set('digest', digest);
  const type = 'Content-Type: application/octet-stream\r\n';
  expect(await wire.send('PUT', `${url.pathname}${url.search}`, type, bytes), 201);
  return digest;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  return typeof address === 'object' && address ? address.port : 0;
}

export async function start(name: string, port: number, argv: readonly string[]): Promise<Target> {
  const [program = '', ...rest] = argv;
  const child = spawn(program, rest, { stdio: 'ignore' });
  for (const deadline = Date.now() + 15_000; ; ) {
    try {
      const wire = await Wire.connect(port);
      expect(await wire.send('GET', '/v2/'), 200);
      wire.close();
      return { name, port, child, pid: child.pid ?? 0 };
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}
