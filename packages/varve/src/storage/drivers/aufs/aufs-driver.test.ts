import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { getXattr, identifyProcess, isAlive, mountsBelow, sendSignal } from '../../../linux/index.ts';
import { type DriverUnderTest, Rig } from '../../testing/index.ts';
import { AufsDriver } from './aufs.ts';
import { statisticsAttribute } from './union/read-operations.ts';
import type { UnionStatistics } from './union/serve-union.ts';

const under: DriverUnderTest = {
  name: 'aufs',
  create: (root) => new AufsDriver(root),
  module: new URL('./aufs.ts', import.meta.url),
  exported: 'AufsDriver',
  renamesLowerFolders: false,
};

const statistics = (root: string): UnionStatistics =>
  JSON.parse(String(getXattr(root, statisticsAttribute))) as UnionStatistics;

const write = (name: string) => (root: string) => writeFileSync(join(root, name), name);

async function until(what: string, check: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!check()) {
    assert.ok(Date.now() < deadline, `${what}: not so after 20 s`);
    await delay(5);
  }
}

test("every snapshot has Docker's names: diff, mnt and layers with its parents from the top down", async () => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, [{ name: 'one' }]);
  const top = await rig.apply(bottom, [{ name: '.wh.one' }, { name: 'two' }]);
  await rig.driver.prepare('box', top);
  const names = readdirSync(join(rig.folder, 'layers'));
  const lists = names.map((id) =>
    readFileSync(join(rig.folder, 'layers', id), 'utf8')
      .split('\n')
      .filter(Boolean),
  );
  const [box] = lists.toSorted((a, b) => b.length - a.length);
  assert.deepEqual(
    lists.map(({ length }) => length).toSorted((a, b) => a - b),
    [0, 1, 2],
  );
  const [topId, bottomId] = box as [string, string];
  assert.equal(readFileSync(join(rig.folder, 'layers', topId), 'utf8'), `${bottomId}\n`);
  assert.deepEqual(readdirSync(join(rig.folder, 'diff', topId)).sort(), ['.wh.one', 'two']);
  const root = await rig.driver.mount('box');
  const boxId = names.find((id) => id !== topId && id !== bottomId) as string;
  assert.deepEqual(readdirSync(join(rig.folder, 'mnt', boxId)), ['two']);
  assert.equal(join(rig.folder, 'mnt', readlinkSync(join(rig.folder, 'mnt', boxId))), root);
  await rig.driver.unmount('box');
  await rig.driver.remove('box');
  for (const name of ['diff', 'layers', 'mnt'])
    assert.equal(readdirSync(join(rig.folder, name)).length, 2, name);
});

test("Docker's names are mended at start", async () => {
  await using rig = new Rig(under);
  const bottom = await rig.apply(undefined, [{ name: 'one' }]);
  await rig.driver.prepare('box', bottom);
  const before = ['diff', 'layers', 'mnt'].map((name) => readdirSync(join(rig.folder, name)).sort());
  const [id] = before[0] as string[];
  rmSync(join(rig.folder, 'diff', id as string));
  writeFileSync(join(rig.folder, 'layers', 'f'.repeat(64)), '');
  await rig.reopen();
  assert.deepEqual(await rig.driver.recover(), [
    `removed the names of a snapshot that is gone (ffffffffffff)`,
  ]);
  assert.deepEqual(
    ['diff', 'layers', 'mnt'].map((name) => readdirSync(join(rig.folder, name)).sort()),
    before,
  );
});

test('a commit leaves nothing of AUFS in the layer', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, write('one'));
  const top = await rig.commit(base, (root) => rmSync(join(root, 'one')));
  const { UpperDir: diff } = rig.driver.metadata(top);
  assert.deepEqual(readdirSync(diff as string), ['.wh.one']);
});

test('an engine that is killed leaves its mounts served, and the next one finds, uses and ends them', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, write('lower'));
  await rig.driver.prepare('box', base);
  await rig.driver.close();
  const script = `
    const { AufsDriver } = await import(${JSON.stringify(under.module.href)});
    const driver = new AufsDriver(${JSON.stringify(rig.snapshots)});
    process.stdout.write(await driver.mount('box'));
    setInterval(() => undefined, 1000);`;
  const engine = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [chunk] = (await once(engine.stdout, 'data')) as [Buffer];
  const root = chunk.toString();
  engine.kill('SIGKILL');
  await once(engine, 'exit');
  assert.equal(readFileSync(join(root, 'lower'), 'utf8'), 'lower');
  writeFileSync(join(root, 'mine'), 'mine');
  const server = identifyProcess(statistics(root).pid);
  assert.ok(server);
  await rig.reopen();
  assert.deepEqual(await rig.driver.recover(), []);
  assert.equal(await rig.driver.mount('box'), root);
  assert.equal(statistics(root).pid, server.pid);
  await rig.driver.unmount('box');
  await until('the server ends with its last mount', () => !isAlive(server));
  assert.deepEqual(mountsBelow(rig.root), []);
});

test('a mount whose server was killed is taken away at once, and mounted anew when it is asked for', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, write('lower'));
  await rig.active('box', base, write('mine'));
  const root = await rig.driver.mount('box');
  sendSignal(statistics(root).pid, 9);
  await until('it is unmounted', () => mountsBelow(rig.root).length === 0);
  assert.equal(await rig.driver.mount('box'), root);
  assert.deepEqual(readdirSync(root).sort(), ['lower', 'mine']);
  await rig.driver.unmount('box');
  await rig.driver.unmount('box');
  assert.ok(!existsSync(root));
});

test('recovery takes away what a server left that died with its engine', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, write('lower'));
  await rig.driver.prepare('box', base);
  const { mountFuse, openFuse } = await import('../../../linux/index.ts');
  const { closeSync } = await import('node:fs');
  const { MergedDir: target } = rig.driver.metadata('box');
  mkdirSync(target as string);
  const connection = openFuse();
  mountFuse(connection, 'aufs', target as string);
  closeSync(connection);
  assert.throws(() => statSync(target as string), { code: 'ENOTCONN' });
  await rig.reopen();
  assert.deepEqual(await rig.driver.recover(), [`unmounted ${target}, whose server is dead`]);
  assert.deepEqual(await rig.list('box').then((listing) => [...listing.keys()]), ['/', '/lower']);
});

test('many mounts share few servers', async () => {
  await using rig = new Rig(under);
  const base = await rig.commit(undefined, write('lower'));
  const pids = new Set<number>();
  for (let i = 0; i < 10; i++) {
    await rig.driver.prepare(`box-${i}`, base);
    pids.add(statistics(await rig.driver.mount(`box-${i}`)).pid);
  }
  assert.ok(pids.size >= 2 && pids.size <= 3, `${pids.size} servers`);
  for (let i = 0; i < 10; i++) await rig.driver.unmount(`box-${i}`);
});

test('says why it cannot run', async () => {
  const probe = await new AufsDriver('/sys/varve-none').probe();
  assert.ok(!probe.ok);
  assert.match(probe.reason, /cannot be mounted here: .*EPERM/);
});
