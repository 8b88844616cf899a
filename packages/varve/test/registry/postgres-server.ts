import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { once } from 'node:events';

/** A PostgreSQL of its own folder and port on the loopback address. */
export interface PostgresServer extends AsyncDisposable {
  /** Makes an empty database and says where it is. */
  database(name: string): string;
}

/** Starts Debian's PostgreSQL; it refuses to run as root, so it gets the account of its package. */
export async function startPostgres(): Promise<PostgresServer> {
  const server = globSync('/usr/lib/postgresql/*/bin/postgres').toSorted().at(-1);
  assert.ok(server, 'PostgreSQL is missing: run scripts/setup --test');
  const bin = dirname(server);
  const number = (flag: string): number =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  const account = { uid: number('-u'), gid: number('-g') };
  const folder = mkdtempSync('/var/tmp/varve-postgres-');
  chownSync(folder, account.uid, account.gid);
  const data = join(folder, 'data');
  const run = (program: string, ...args: string[]): void =>
    void execFileSync(join(bin, program), args, {
      ...account,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  run('initdb', '-D', data, '-A', 'trust', '-U', 'varve', '--no-sync', '--no-instructions', '-E', 'UTF8');
  const port = await freePort();
  const child = spawn(
    server,
    ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', folder, '-c', 'max_connections=200'],
    { ...account, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  const ready = new Promise<void>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('ready to accept connections')) resolve();
    });
    child.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${log}`)));
  });
  await ready;
  return {
    database: (name) => {
      run('createdb', '-h', '127.0.0.1', '-p', String(port), '-U', 'varve', name);
      return `postgres://varve@127.0.0.1:${port}/${name}`;
    },
    [Symbol.asyncDispose]: async () => {
      // SIGQUIT: immediate shutdown; the data is removed anyway.
      child.kill('SIGQUIT');
      if (child.exitCode === null) await once(child, 'exit');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  assert.ok(address && typeof address === 'object');
  probe.close();
  await once(probe, 'close');
  return address.port;
}
