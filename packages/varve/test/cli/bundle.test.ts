/** What users start is the bundle that scripts/setup makes: whatever is loaded only when it is wanted must be found there, too. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join, resolve } from 'node:path';
import { after, test } from 'node:test';
import { eventually } from '../engine/harness.ts';

const bundle = resolve(import.meta.dirname, '../../dist/varve.mjs');
const folder = mkdtempSync('/var/tmp/varve-bundle-');
after(() => rmSync(folder, { recursive: true, force: true }));

function start(
  argv: readonly string[],
  before: readonly string[] = [],
): { readonly child: ChildProcess; readonly output: () => string } {
  const [program = '', ...rest] = [...before, process.execPath, bundle, ...argv];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
  }
  return { child, output: () => text };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  await gone;
}

function config(name: string, value: object): string {
  const path = join(folder, `${name}.yml`);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

test('is made by scripts/setup', () => assert.ok(existsSync(bundle)));

test('a registry finds its parts for metrics, traces and PostgreSQL', async () => {
  const filesystem = { rootdirectory: join(folder, 'registry') };
  const path = config('plain', {
    http: { addr: '127.0.0.1:0', debug: { addr: '127.0.0.1:0', prometheus: { enabled: true } } },
    storage: { filesystem },
    tracing: { otlp: { endpoint: 'http://127.0.0.1:9/v1/traces' } },
  });
  const registry = start(['registry', 'serve', path]);
  await eventually('it listens', () => /registry listening on/.test(registry.output()));
  const asked = spawnSync(process.execPath, [bundle, 'registry', 'usage', path], { encoding: 'utf8' });
  assert.match(asked.stdout, /0 repositories/, asked.stderr);
  await stop(registry.child);
  assert.equal(registry.child.exitCode, 0, registry.output());

  // Nobody answers there: that it was asked shows that its client was found.
  const metadata = { postgres: { url: 'postgres://x@127.0.0.1:9/x' } };
  const failing = start(['registry', 'serve', config('postgres', { storage: { filesystem }, metadata })]);
  await once(failing.child, 'exit');
  assert.match(failing.output(), /the database cannot be reached/);
});

test('an engine comes up, answers and goes down', async () => {
  const socket = join(folder, 'engine.sock');
  const engine = start(
    [
      'engine',
      `--data-root=${join(folder, 'root')}`,
      `--exec-root=${join(folder, 'run')}`,
      `--host=unix://${socket}`,
    ],
    // Its bridge and its rules are nobody else's.
    ['unshare', '--net'],
  );
  await eventually('it is up', () => {
    if (engine.child.exitCode !== null) assert.fail(engine.output());
    return engine.output().includes('the engine is up');
  });
  const answer = request({ socketPath: socket, path: '/_ping' }).end();
  const [response] = (await once(answer, 'response')) as [{ readonly statusCode: number; resume(): void }];
  assert.equal(response.statusCode, 200);
  response.resume();
  await stop(engine.child);
  assert.equal(engine.child.exitCode, 0, engine.output());
});
