import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { DeviceMapperDriver } from './devicemapper.ts';
import {
  readPool,
  readTransaction,
  readVolume,
  writePool,
  writeTransaction,
  writeVolume,
} from './records.ts';

/* What needs a device mapper is tested in a guest: devicemapper.guest.ts. */

const hasDeviceMapper = /device-mapper$/m.test(readFileSync('/proc/misc', 'utf8'));

test('says in one line why it cannot run here, and makes nothing', {
  skip: hasDeviceMapper && 'this kernel has a device mapper',
}, async () => {
  const root = join('/var/tmp', 'varve-never-made');
  const driver = new DeviceMapperDriver(root);
  assert.deepEqual(await driver.probe(), {
    ok: false,
    reason: 'this kernel has no device mapper (CONFIG_BLK_DEV_DM, module dm_mod)',
  });
  assert.equal(driver.status()[0]?.[0], 'Backing Filesystem');
  assert.ok(!existsSync(root));
});

test('records come back as they were written; others are told from missing ones', (context) => {
  const folder = mkdtempSync('/var/tmp/varve-records-');
  context.after(() => rmSync(folder, { recursive: true }));
  assert.deepEqual(
    [readPool(folder), readTransaction(folder), readVolume(folder)],
    [undefined, undefined, undefined],
  );
  const pool = { name: 'varve-1-pool', isExternal: false, blockSectors: 128, base: undefined };
  writePool(folder, pool);
  assert.deepEqual(readPool(folder), pool);
  const based = { ...pool, base: { deviceId: 1, bytes: 1024, filesystem: 'xfs' as const } };
  writePool(folder, based);
  assert.deepEqual(readPool(folder), based);
  const transaction = { opens: 3, deviceId: 4, folder: 'base' };
  writeTransaction(folder, transaction);
  assert.deepEqual(readTransaction(folder), transaction);
  writeVolume(folder, { deviceId: 5, bytes: 512 });
  assert.deepEqual(readVolume(folder), { deviceId: 5, bytes: 512 });
});
