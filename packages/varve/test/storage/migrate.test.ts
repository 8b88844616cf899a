import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { busyboxTar, entry, TestEngine } from '../engine/harness.ts';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';

let engine: TestEngine;
let registry: HostProcess & { readonly host: string };
let app: string;
/** What the container shows before any migration. */
let tree: string;
let digest: string;

const root = (...names: string[]): string => join(engine.folder, 'root', ...names);

const changes = [
  'echo changed >/d/f; rm /d/g; mkdir -p /new/deep; ln /d/f /new/hard; ln -s ../d/f /new/soft',
  'rm -r /old; mkdir /old; echo again >/old/fresh; chmod 4711 /d/h; chown 7:8 /d; touch -d @1000000 /new/deep',
  'truncate -s 5M /new/sparse; mkfifo /new/pipe; rm /etc/group',
].join('; ');

/** All of a container's files: types, modes, owners, sizes, times and bytes. */
const list =
  'cd /; find d new old -not -type d -exec stat -c "%n %f %u %g %s %Y %h" {} + | sort; find d new old -type d -exec stat -c "%n %f %u %g" {} + | sort; find d new old -type f | sort | xargs md5sum; ls etc; md5sum bin/*box';

before(async () => {
  engine = await TestEngine.start();
  await engine.down();
  rmSync(root(), { recursive: true });
  await engine.up('--storage-driver=overlay2');
  await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
  registry = await startVarveRegistry(engine.netns, join(engine.folder, 'registry'));
  app = `${registry.host}/app:1`;
  const make = 'mkdir /d /old; echo hello >/d/f; seq 9999 >/d/g; echo h >/d/h; touch /old/stale';
  await engine.ok('run', '--name', 'maker', '--network=none', 'busybox', 'sh', '-c', make);
  await engine.ok('commit', 'maker', app);
  await engine.ok('rm', 'maker');
  digest = digestOf(await engine.ok('push', app));
  await engine.ok(
    'run',
    '--name',
    'box',
    '--network=none',
    app,
    'sh',
    '-c',
    `test -e /new || { ${changes}; }`,
  );
  tree = await look();
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
});

function digestOf(output: string): string {
  return /digest: (\S+)/.exec(output)?.[1] ?? '';
}

/** What the container's tree holds now, seen by a copy of it that is started. */
async function look(): Promise<string> {
  await engine.ok('commit', 'box', 'look');
  const shown = await engine.ok('run', '--rm', '--network=none', 'look', 'sh', '-c', list);
  await engine.ok('rmi', 'look');
  return shown;
}

/** Begins a migration; resolves at its end, or when it is killed at the first line that `killAt` finds. */
function migrate(
  driver: string,
  ...flags: string[]
): { readonly lines: string[]; readonly done: Promise<number>; kill(): void } {
  const argv = [entry, 'system', 'migrate', `--storage-driver=${driver}`, `--data-root=${root()}`, ...flags];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
  return {
    lines,
    done: new Promise((resolve) => child.once('close', (code) => resolve(code ?? -1))),
    kill: () => child.kill('SIGKILL'),
  };
}

async function worksOn(driver: string): Promise<void> {
  await engine.up();
  assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), driver);
  assert.equal(await look(), tree);
  assert.equal(digestOf(await engine.ok('push', app)), digest);
  await engine.ok('start', '-a', 'box');
}

test('a root that an engine uses is left alone', async () => {
  const { lines, done } = migrate('vfs');
  assert.notEqual(await done, 0);
  assert.match(lines.join('\n'), /another engine uses/);
});

test('a migration that is killed leaves the old driver working', async () => {
  for (const at of [/^layer 1/, /^container 1/, /^compare 2/]) {
    await engine.down();
    const migration = migrate('vfs');
    const { lines, done } = migration;
    while (!lines.some((line) => at.test(line))) {
      const ended = await Promise.race([done, delay(5)]);
      assert.equal(ended, undefined, lines.join('\n'));
    }
    migration.kill();
    await done;
    assert.ok(!lines.some((line) => line.startsWith('switched')), lines.join('\n'));
    await worksOn('overlay2');
  }
  await engine.down();
  assert.ok(!existsSync(root('snapshots.migrating')));
});

test('a dry run says what is needed and does nothing', async () => {
  const { lines, done } = migrate('vfs', '--dry-run');
  assert.equal(await done, 0, lines.join('\n'));
  const [, bytes] =
    /overlay2 to vfs: \d+ layers, 1 containers, .*\((\d+) bytes\) needed/.exec(lines.join('\n')) ?? [];
  assert.ok(Number(bytes) > 1_000_000, lines.join('\n'));
  assert.ok(!existsSync(root('snapshots.migrating')));
  assert.deepEqual(readdirSync(root('snapshots')), ['overlay2']);
});

for (const [from, to] of [
  ['overlay2', 'vfs'],
  ['vfs', 'overlay2'],
  ['overlay2', 'erofs'],
] as const) {
  test(`images and a stopped container move from ${from} to ${to} as they are`, async () => {
    await engine.down();
    const { lines, done } = migrate(to);
    assert.equal(await done, 0, lines.join('\n'));
    assert.ok(lines.includes(`switched from ${from} to ${to}`), lines.join('\n'));
    assert.deepEqual(readdirSync(root('snapshots')), [to]);
    assert.ok(!existsSync(root('snapshots.migrating')));
    await worksOn(to);
  });
}

test('what cannot be moved stops all of it before anything is done', async () => {
  await engine.ok('rmi', '-f', app);
  await engine.down();
  const { lines, done } = migrate('vfs');
  assert.notEqual(await done, 0);
  assert.match(lines.join('\n'), /nothing was moved/);
  assert.deepEqual(readdirSync(root('snapshots')), ['erofs']);
  await engine.up();
});
