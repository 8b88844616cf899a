import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ContainerTree } from './container-tree.ts';
import type { MountPoint } from './types.ts';

const folder = mkdtempSync(join(tmpdir(), 'varve-tree-'));
after(() => rmSync(folder, { recursive: true }));
const rootfs = join(folder, 'rootfs');
const volume = join(folder, 'volume');
mkdirSync(join(rootfs, 'etc'), { recursive: true });
mkdirSync(join(rootfs, 'data'));
mkdirSync(join(volume, 'inner'), { recursive: true });
writeFileSync(join(rootfs, 'etc/passwd'), 'own');
writeFileSync(join(volume, 'inner/file'), 'volume');
writeFileSync(join(folder, 'single'), 'bound');
symlinkSync('/etc', join(rootfs, 'abs'));
symlinkSync('../../../../etc', join(rootfs, 'up'));
symlinkSync('/data/inner', join(rootfs, 'into-volume'));
symlinkSync('/abs/passwd', join(volume, 'out-of-volume'));
symlinkSync('loop', join(rootfs, 'loop'));

function mount(Destination: string, Source: string, RW = true): MountPoint {
  return { Type: 'bind', Source, Destination, Mode: '', RW, Propagation: '' };
}

const tree = new ContainerTree({
  rootfs,
  readOnlyRootfs: true,
  mounts: [mount('/data', volume), mount('/etc/bound', join(folder, 'single'), false)],
});

test('links lead nowhere but into the container', () => {
  for (const path of [
    '/abs/passwd',
    '/up/passwd',
    '/../../etc/passwd',
    '/data/out-of-volume',
    'etc/./passwd',
  ]) {
    const place = tree.locate(path, true);
    assert.deepEqual([place.root, place.path, place.resolved], [rootfs, 'etc/passwd', '/etc/passwd'], path);
  }
});

test('mounts are in their places, also behind links', () => {
  const place = tree.locate('/into-volume/file', true);
  assert.deepEqual([place.root, place.path, place.readOnly], [volume, 'inner/file', false]);
  assert.equal(tree.stat(place)?.size, 6);
  const bound = tree.locate('/etc/bound', true);
  assert.deepEqual([bound.root, bound.path, bound.readOnly], [folder, 'single', true]);
  assert.equal(tree.locate('/etc', true).readOnly, true);
});

test('the last link is followed only when asked', () => {
  assert.equal(tree.locate('/abs', false).resolved, '/abs');
  assert.equal(tree.locate('/abs', true).resolved, '/etc');
});

test('what is not there, a file on the way and a loop are told apart', () => {
  assert.equal(tree.stat(tree.locate('/etc/none', true)), undefined);
  assert.throws(() => tree.locate('/none/x', true), { kind: 'not-found' });
  assert.throws(() => tree.locate('/etc/passwd/x', true), { code: 'ENOTDIR' });
  assert.throws(() => tree.locate('/loop', true), { code: 'ELOOP' });
});

test('a mount behind a link of the image is where the runtime puts it; of two at one place the later shows', () => {
  const behind = new ContainerTree({
    rootfs,
    readOnlyRootfs: false,
    mounts: [mount('/etc/spot', volume), mount('/abs/spot', join(folder, 'single'))],
  });
  for (const path of ['/etc/spot', '/abs/spot']) {
    const place = behind.locate(path, true);
    assert.deepEqual([place.root, place.path], [folder, 'single'], path);
  }
});
