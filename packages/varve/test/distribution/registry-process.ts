import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A registry in its own process, started for a test on a free loopback port. */
export interface RegistryProcess extends AsyncDisposable {
  readonly host: string;
  readonly root: string;
  /** Kills it (SIGKILL); `restart` starts it again at the same address. */
  readonly kill: () => Promise<void>;
  readonly restart: () => Promise<void>;
}

export const binary = '/usr/bin/docker-registry';

/** Says why the tests against it cannot run, false when they can. */
export const skipReason: string | false = existsSync(binary) ? false : `${binary} is not installed`;

/** Debian's docker-registry. @param extra YAML blocks for its configuration. */
export async function startDockerRegistry(extra = ''): Promise<RegistryProcess> {
  return await start((root, port) => {
    const config = join(root, 'config.yml');
    writeFileSync(
      config,
      `version: 0.1
log: {level: info, formatter: json}
storage:
  filesystem: {rootdirectory: ${join(root, 'data')}}
  delete: {enabled: true}
http: {addr: '127.0.0.1:${port}'}
${extra}`,
    );
    return spawn(binary, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  });
}

/** Varve's own registry. @param auth the block of its configuration. */
export async function startVarveRegistry(auth?: object): Promise<RegistryProcess> {
  const program = join(import.meta.dirname, '../registry/serve.ts');
  return await start((root, port) =>
    spawn(
      process.execPath,
      [program, join(root, 'data'), port, ...(auth === undefined ? [] : [JSON.stringify(auth)])],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    ),
  );
}

async function start(run: (root: string, port: string) => ChildProcess): Promise<RegistryProcess> {
  const root = mkdtempSync('/var/tmp/varve-registry-');
  let child = run(root, '0');
  const port = await listeningPort(child);
  const kill = async (): Promise<void> => {
    if (child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
  return {
    host: `127.0.0.1:${port}`,
    root,
    kill,
    restart: async () => {
      child = run(root, port);
      await listeningPort(child);
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      rmSync(root, { recursive: true });
    },
  };
}

/** Waits for the line in which a registry tells its address. */
async function listeningPort(child: ChildProcess): Promise<string> {
  const output = child.stdout ?? child.stderr;
  if (output === null) throw new Error('no output to read');
  const seen: string[] = [];
  for await (const line of createInterface({ input: output })) {
    seen.push(line);
    const port = /(?:listening on |http:\/\/)127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    output.resume();
    return port;
  }
  throw new Error(`the registry did not start:\n${seen.join('\n')}`);
}
