import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { PowerCutDisk, type PowerCutDiskOptions } from '../../linux/testing/index.ts';
import { Overlay2Driver } from '../drivers/overlay2/overlay2.ts';
import { VfsDriver } from '../drivers/vfs/vfs.ts';
import { type DriverUnderTest, Rig, testSizes } from '../testing/index.ts';
import { Projects } from './projects.ts';

const mebibyte = 2 ** 20;

const drivers = {
  overlay2: {
    name: 'overlay2',
    create: (root: string) => new Overlay2Driver(root),
    module: new URL('../drivers/overlay2/overlay2.ts', import.meta.url),
    exported: 'Overlay2Driver',
    renamesLowerFolders: false,
  },
  vfs: {
    name: 'vfs',
    create: (root: string) => new VfsDriver(root),
    module: new URL('../drivers/vfs/vfs.ts', import.meta.url),
    exported: 'VfsDriver',
    renamesLowerFolders: true,
  },
} satisfies Record<string, DriverUnderTest>;

function makeDisk(type: 'ext4' | 'xfs'): PowerCutDisk {
  const options: PowerCutDiskOptions = { type, mebibytes: 400, projectQuota: true };
  return new PowerCutDisk(options);
}

for (const type of ['xfs', 'ext4'] as const) {
  describe(`sizes by project quota on ${type}`, () => {
    const disk = makeDisk(type);
    after(() => disk[Symbol.dispose]());
    // vfs writes without overlayfs, which drops CAP_SYS_RESOURCE for it: root is above the quotas of ext4.
    const names = type === 'xfs' ? (['overlay2', 'vfs'] as const) : (['overlay2'] as const);
    for (const name of names) {
      const under = { ...drivers[name], folder: disk.path, disk: () => makeDisk(type) };
      describe(name, () => {
        // The guest is slow: what does not depend on how a size is kept is tried once.
        if (type === 'xfs' && name === 'overlay2') testSizes({ ...under, kills: 2 });

        test('uses no image, and gives ids of containers that are gone away again', async () => {
          await using rig = new Rig(under);
          assert.ok(Projects.areEnforced(rig.root));
          for (let i = 0; i < 2; i++) {
            await rig.driver.prepare('box', undefined, { size: mebibyte });
            const [id = ''] = readdirSync(rig.folder).filter((entry) => /^[0-9a-f]{64}$/.test(entry));
            assert.ok(!existsSync(join(rig.folder, id, 'limited')));
            await rig.driver.remove('box');
            await rig.reopen();
          }
        });

        test('the limits of two containers are two', async () => {
          await using rig = new Rig(under);
          const write = (root: string, mebibytes: number): void =>
            writeFileSync(join(root, 'file'), Buffer.alloc(mebibytes * mebibyte));
          const base = await rig.commit(undefined, (root) => mkdirSync(join(root, 'dir')));
          await rig.driver.prepare('one', base, { size: 10 * mebibyte });
          await rig.driver.prepare('two', base, { size: 10 * mebibyte });
          for (const key of ['one', 'two']) await rig.within(key, (root) => write(root, 8));
          for (const key of ['one', 'two'])
            await rig.within(key, (root) => assert.throws(() => write(root, 12)));
        });
      });
    }
  });
}

test('128 layers are stacked where the kernel has no lowerdir+', async () => {
  await using rig = new Rig(drivers.overlay2);
  let top = await rig.commit(undefined, (root) => mkdirSync(join(root, 'dir')));
  for (let i = 1; i < 128; i++) {
    top = await rig.commit(top, (root) => writeFileSync(join(root, 'dir', String(i)), String(i)));
  }
  await rig.active('box', top, (root) => {
    assert.equal(readdirSync(join(root, 'dir')).length, 127);
    assert.equal(readFileSync(join(root, 'dir/1'), 'utf8'), '1');
    writeFileSync(join(root, 'dir/mine'), '');
  });
  assert.deepEqual(await rig.changes('box'), ['C /dir', 'A /dir/mine']);
});
