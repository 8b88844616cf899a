import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { chooseDriver, Overlay2Driver, type Probe, type StorageDriverKind, VfsDriver } from './index.ts';

let root = '';

beforeEach(() => {
  root = mkdtempSync('/var/tmp/varve-choose-');
});
afterEach(() => rmSync(root, { recursive: true }));

class BrokenDriver extends Overlay2Driver {
  override async probe(): Promise<Probe> {
    return { ok: false, reason: 'no overlay in this kernel' };
  }
}

const overlay2: StorageDriverKind = {
  name: 'overlay2',
  create: (options) => new Overlay2Driver(root, options),
};
const broken: StorageDriverKind = { name: 'overlay2', create: () => new BrokenDriver(root) };
const vfs: StorageDriverKind = { name: 'vfs', create: (options) => new VfsDriver(root, options) };

const holds = (name: string): string | undefined =>
  mkdirSync(join(root, name, 'a'.repeat(64)), { recursive: true });

test('takes the first driver that can run on an empty root', async () => {
  const drivers = [broken, vfs];
  assert.equal((await chooseDriver(drivers, root)).name, 'vfs');
  assert.equal((await chooseDriver([overlay2, ...drivers], root)).name, 'overlay2');
});

test('takes the driver whose snapshots the root holds', async () => {
  holds('vfs');
  assert.equal((await chooseDriver([overlay2, vfs], root)).name, 'vfs');
});

test('takes the driver that was asked for, whatever the root holds', async () => {
  holds('vfs');
  const drivers = [overlay2, vfs];
  assert.equal((await chooseDriver(drivers, root, { requested: 'overlay2' })).name, 'overlay2');
  await assert.rejects(chooseDriver(drivers, root, { requested: 'zfs' }), {
    kind: 'invalid',
    message: 'unknown storage driver "zfs"',
    hint: 'known drivers: overlay2, vfs',
  });
});

test('says which driver cannot run and why', async () => {
  await assert.rejects(chooseDriver([broken], root, { requested: 'overlay2' }), {
    kind: 'unavailable',
    message: 'the storage driver overlay2 was asked for, but cannot run here: no overlay in this kernel',
  });
  await assert.rejects(chooseDriver([broken], root), {
    message: 'no storage driver can run here (overlay2: no overlay in this kernel)',
  });
  holds('overlay2');
  await assert.rejects(chooseDriver([broken, vfs], root), {
    message: new RegExp(`^the storage driver overlay2 has snapshots in ${root}, but cannot run here`),
  });
});

test('does not guess between the snapshots of two drivers', async () => {
  holds('vfs');
  holds('overlay2');
  await assert.rejects(chooseDriver([overlay2, vfs], root), {
    kind: 'conflict',
    message: `${root} contains several valid graphdrivers: overlay2, vfs`,
  });
});

test('gives options to the driver it chooses, and to no other', async () => {
  const kinds = [overlay2, vfs];
  const options = [['overlay2.override_kernel_check', 'true']] as const;
  assert.equal((await chooseDriver(kinds, root, { options })).name, 'overlay2');
  await assert.rejects(chooseDriver(kinds, root, { requested: 'vfs', options }), {
    kind: 'invalid',
    message: 'error initializing graphdriver: vfs: unknown option overlay2.override_kernel_check',
  });
});
