import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Debian's docker-registry, started for a test on a free loopback port. */
export interface DockerRegistry extends AsyncDisposable {
  readonly host: string;
  readonly root: string;
  /** Kills it (SIGKILL); `restart` starts it again at the same address. */
  readonly kill: () => Promise<void>;
  readonly restart: () => Promise<void>;
}

export const binary = '/usr/bin/docker-registry';

/** Says why the tests against it cannot run, false when they can. */
export const skipReason: string | false = existsSync(binary) ? false : `${binary} is not installed`;

/** @param extra YAML blocks for its configuration. */
export async function startDockerRegistry(extra = ''): Promise<DockerRegistry> {
  const root = mkdtempSync('/var/tmp/varve-registry-');
  const config = join(root, 'config.yml');
  const start = async (port: string): Promise<{ readonly child: ChildProcess; readonly port: string }> => {
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
    const child = spawn(binary, ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] });
    return { child, port: await listeningPort(child) };
  };
  let running = await start('0');
  const kill = async (): Promise<void> => {
    if (running.child.signalCode !== null) return;
    const ended = once(running.child, 'exit');
    running.child.kill('SIGKILL');
    await ended;
  };
  return {
    host: `127.0.0.1:${running.port}`,
    root,
    kill,
    restart: async () => {
      running = await start(running.port);
    },
    [Symbol.asyncDispose]: async () => {
      await kill();
      rmSync(root, { recursive: true });
    },
  };
}

async function listeningPort(child: ChildProcess): Promise<string> {
  if (child.stderr === null) throw new Error('no stderr');
  const seen: string[] = [];
  const lines = createInterface({ input: child.stderr });
  for await (const line of lines) {
    seen.push(line);
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    child.stderr.resume();
    return port;
  }
  throw new Error(`docker-registry did not start:\n${seen.join('\n')}`);
}
