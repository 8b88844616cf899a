import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { State } from '../state/index.ts';
import { VolumeStore } from './index.ts';

let folder: string;
let state: State;
let volumes: VolumeStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'varve-volume-'));
  state = new State(join(folder, 'state.db'));
  volumes = new VolumeStore({ state, root: join(folder, 'volumes') });
});

afterEach(async () => {
  await volumes.restore([]);
  state.close();
  rmSync(folder, { recursive: true });
});

test('makes a volume once, and gives it again with its labels', async () => {
  const volume = await volumes.create({ name: 'vv', labels: { a: 'b' } });
  assert.equal(volume.mountpoint, join(folder, 'volumes/vv/_data'));
  writeFileSync(join(volume.mountpoint, 'kept'), '1');
  assert.deepEqual(await volumes.create({ name: 'vv', labels: { c: 'd' } }), volume);
  assert.deepEqual(volumes.list(), [volume]);
  state.close();
  state = new State(join(folder, 'state.db'));
  volumes = new VolumeStore({ state, root: join(folder, 'volumes') });
  assert.deepEqual(volumes.get('vv'), volume);
  assert.deepEqual(readdirSync(volume.mountpoint), ['kept']);
});

test('names an anonymous volume with 64 hex digits', async () => {
  const { name, anonymous, labels } = await volumes.create({});
  assert.match(name, /^[0-9a-f]{64}$/);
  assert.equal(anonymous, true);
  assert.deepEqual(labels, { 'com.docker.volume.anonymous': '' });
});

test('refuses names that could leave the root, and unknown drivers and options', async () => {
  for (const name of ['..', '.', '../../etc', 'a/b', '-a', 'a b', 'a\n', 'a\0', 'x'.repeat(256), 'ä1', 'a']) {
    await assert.rejects(volumes.create({ name }), { kind: 'invalid', code: 'INVALID_VOLUME_NAME' }, name);
  }
  await assert.rejects(volumes.create({ name: 'vv', driver: 'nope' }), { kind: 'not-found' });
  for (const options of [
    { foo: 'x' },
    { type: 'tmpfs' },
    { type: 'ext4', device: '/dev/x', o: 'rshared' },
    { type: 'none', device: 'relative', o: 'bind' },
    { type: '../x', device: 'y' },
    { device: '/dev/sda', o: 'size=1\n' },
  ]) {
    await assert.rejects(
      volumes.create({ name: 'vv', options }),
      { kind: 'invalid' },
      JSON.stringify(options),
    );
  }
  assert.deepEqual(readdirSync(join(folder, 'volumes')), []);
});

test('removes a volume with its data, but not while it is in use', async () => {
  const { mountpoint } = await volumes.create({ name: 'vv' });
  await assert.rejects(volumes.remove('none'), { kind: 'not-found', message: 'get none: no such volume' });
  await volumes.remove('none', { force: true });
  assert.equal(await volumes.mount('vv', 'c1'), mountpoint);
  await volumes.mount('vv', 'c1');
  await assert.rejects(volumes.remove('vv'), {
    kind: 'conflict',
    message: 'remove vv: volume is in use - [c1]',
  });
  await volumes.unmount('vv', 'c1');
  await volumes.remove('vv');
  assert.deepEqual(readdirSync(join(folder, 'volumes')), []);
  assert.deepEqual(volumes.list(), []);
});

test('prunes anonymous volumes, and named ones when told so', async () => {
  await volumes.create({ name: 'named' });
  const { name, mountpoint } = await volumes.create({});
  const { name: used } = await volumes.create({});
  await volumes.mount(used, 'c1');
  writeFileSync(join(mountpoint, 'file'), Buffer.alloc(100_000, 1));
  const pruned = await volumes.prune();
  assert.deepEqual(pruned.deleted, [name]);
  assert.ok(pruned.bytes >= 100_000);
  assert.deepEqual((await volumes.prune({ all: true, keep: () => true })).deleted, []);
  assert.deepEqual((await volumes.prune({ all: true })).deleted, ['named']);
});

test('fills an empty volume from the image with owners, modes, links and attributes', async () => {
  const rootfs = join(folder, 'rootfs');
  mkdirSync(join(rootfs, 'srv/data/sub'), { recursive: true });
  writeFileSync(join(rootfs, 'srv/data/file'), 'content', { mode: 0o4755 });
  chownSync(join(rootfs, 'srv/data/file'), 1000, 1001);
  chmodSync(join(rootfs, 'srv/data/file'), 0o4755);
  execFileSync('setfattr', ['-n', 'user.note', '-v', 'hello', join(rootfs, 'srv/data/file')]);
  linkSync(join(rootfs, 'srv/data/file'), join(rootfs, 'srv/data/sub/hard'));
  symlinkSync('/etc/passwd', join(rootfs, 'srv/data/link'));
  chownSync(join(rootfs, 'srv/data'), 33, 34);
  chmodSync(join(rootfs, 'srv/data'), 0o2770);
  symlinkSync('/srv', join(rootfs, 'absolute'));

  const { mountpoint } = await volumes.create({ name: 'vv' });
  await volumes.mount('vv', 'c1');
  await volumes.copyUp('vv', { rootfs, path: '/absolute/data' });
  const root = lstatSync(mountpoint);
  assert.deepEqual([root.uid, root.gid, root.mode & 0o7777], [33, 34, 0o2770]);
  const file = lstatSync(join(mountpoint, 'file'));
  assert.deepEqual([file.uid, file.gid, file.mode & 0o7777, file.nlink], [1000, 1001, 0o4755, 2]);
  assert.equal(lstatSync(join(mountpoint, 'sub/hard')).ino, file.ino);
  assert.ok(lstatSync(join(mountpoint, 'link')).isSymbolicLink());
  assert.match(
    execFileSync('getfattr', ['-d', '--absolute-names', join(mountpoint, 'file')]).toString(),
    /hello/,
  );

  writeFileSync(join(mountpoint, 'file'), 'changed');
  await volumes.copyUp('vv', { rootfs, path: '/srv/data' });
  assert.equal(readFileSync(join(mountpoint, 'file'), 'utf8'), 'changed');
  assert.deepEqual(readdirSync(join(folder, 'volumes/vv')), ['_data']);
});

test('copies nothing from outside of the image, and nothing that is no folder', async () => {
  const rootfs = join(folder, 'rootfs');
  mkdirSync(join(rootfs, 'in'), { recursive: true });
  writeFileSync(join(rootfs, 'in/inside'), '');
  mkdirSync(join(folder, 'outside'));
  writeFileSync(join(folder, 'outside/secret'), '');
  symlinkSync(join(folder, 'outside'), join(rootfs, 'escape'));
  symlinkSync('../../../../in', join(rootfs, 'up'));
  const { mountpoint } = await volumes.create({ name: 'vv' });
  for (const path of ['/escape', '/missing', '/in/inside']) {
    await volumes.copyUp('vv', { rootfs, path });
    assert.deepEqual(readdirSync(mountpoint), [], path);
  }
  await volumes.copyUp('vv', { rootfs, path: '/up' });
  assert.deepEqual(readdirSync(mountpoint), ['inside']);
});

test('mounts what the options say for the first user, unmounts after the last', async () => {
  const device = join(folder, 'device');
  mkdirSync(device);
  writeFileSync(join(device, 'mine'), '');
  await volumes.create({ name: 'bound', options: { type: 'none', device, o: 'bind,ro' } });
  const bound = await volumes.mount('bound', 'c1');
  assert.equal(await volumes.mount('bound', 'c2'), bound);
  assert.deepEqual(readdirSync(bound), ['mine']);
  assert.throws(() => writeFileSync(join(bound, 'x'), ''), { code: 'EROFS' });
  await volumes.unmount('bound', 'c1');
  assert.deepEqual(readdirSync(bound), ['mine']);
  await volumes.unmount('bound', 'c2');
  assert.deepEqual(readdirSync(bound), []);
  assert.ok(existsSync(join(device, 'mine')));

  await volumes.create({
    name: 'memory',
    options: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,uid=1000' },
  });
  const memory = await volumes.mount('memory', 'c1');
  assert.equal(lstatSync(memory).uid, 1000);
  assert.throws(() => writeFileSync(join(memory, 'big'), Buffer.alloc(2 << 20)), { code: 'ENOSPC' });
  await volumes.unmount('memory', 'c1');
  await volumes.remove('bound');
  assert.ok(existsSync(join(device, 'mine')));
  await volumes.create({ name: 'missing', options: { type: 'none', device: join(folder, 'no'), o: 'bind' } });
  await assert.rejects(volumes.mount('missing', 'c1'), /failed to mount local volume: .*ENOENT/);
});

test('after a crash forgets users that are gone and clears what was half done', async () => {
  await volumes.create({ name: 'vv' });
  await volumes.create({ name: 'lost' });
  await volumes.mount('vv', 'dead');
  mkdirSync(join(folder, 'volumes/vv/.staging-1'));
  mkdirSync(join(folder, 'volumes/.removing-1'));
  rmSync(join(folder, 'volumes/lost'), { recursive: true });
  assert.equal((await volumes.restore([])).length, 2);
  assert.deepEqual(readdirSync(join(folder, 'volumes')), ['vv']);
  assert.deepEqual(readdirSync(join(folder, 'volumes/vv')), ['_data']);
  await volumes.remove('vv');
});
