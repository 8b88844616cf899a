import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A server in an engine's network namespace. */
export interface HostProcess extends AsyncDisposable {
  /** The line by which it said that it is up. */
  readonly firstLine: string;
  readonly child: ChildProcess;
}

/** Starts a server next to an engine and waits for its first line on stdout. */
export async function startBeside(netns: string, ...argv: readonly string[]): Promise<HostProcess> {
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const firstLine = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${argv.join(' ')} ended: ${code}`)));
  });
  return {
    firstLine,
    child,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await gone;
    },
  };
}

const varve = new URL('../../src/bin/varve.ts', import.meta.url).pathname;

/** Our registry beside an engine. @returns `host:port` with the process. */
export async function startVarveRegistry(
  netns: string,
  root: string,
  address = '127.0.0.1:0',
): Promise<HostProcess & { readonly host: string }> {
  const server = await startBeside(
    netns,
    'env',
    'REGISTRY_LOG_LEVEL=warn',
    process.execPath,
    varve,
    'registry',
    'serve',
    `--addr=${address}`,
    `--root=${root}`,
  );
  return Object.assign(server, { host: server.firstLine.replace(/^.*http:\/\//, '').replace(/\/.*$/, '') });
}
