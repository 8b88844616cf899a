import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseStorageOptions } from '../../options.ts';
import { readPoolOptions } from './options.ts';

const read = (...options: readonly string[]) => readPoolOptions(parseStorageOptions(options));

test("has dockerd's defaults", () => {
  const { baseSize, dataSize, metadataSize, blockSectors, minFreePercent, discards, filesystem } = read();
  assert.deepEqual(
    [baseSize, dataSize, metadataSize],
    [10, 100, 2].map((size) => size * 2 ** 30),
  );
  assert.deepEqual([blockSectors, minFreePercent, discards, filesystem], [128, 10, true, 'ext4']);
});

test('reads each option', () => {
  const options = read(
    'dm.basesize=20G',
    'dm.fs=xfs',
    'dm.mkfsarg=-m crc=1  -i size=512',
    'dm.mountopt=discard,nobarrier',
    'dm.thinpooldev=/dev/mapper/vg-thin--pool',
    'dm.blocksize=512K',
    'dm.min_free_space=5%',
    'dm.use_deferred_removal=false',
  );
  assert.equal(options.baseSize, 20 * 2 ** 30);
  assert.ok(options.growsBase && !options.growsData);
  assert.equal(options.filesystem, 'xfs');
  assert.deepEqual(options.mkfsArguments, ['-m', 'crc=1', '-i', 'size=512']);
  assert.deepEqual(options.mountOptions, ['discard', 'nobarrier']);
  assert.equal(options.pool, 'vg-thin--pool');
  assert.equal(options.discards, false, 'the administrator decides over a pool of his own');
  assert.equal(options.blockSectors, 1024);
  assert.equal(options.minFreePercent, 5);
  assert.deepEqual([options.defersRemoval, options.defersDeletion], [false, false]);
});

test('refuses what makes no sense, naming it', () => {
  for (const [option, message] of [
    ['dm.fs=btrfs', /Unsupported filesystem btrfs/],
    ['dm.blocksize=100K', /multiple of 64K/],
    ['dm.blocksize=2G', /multiple of 64K/],
    ['dm.min_free_space=100%', /Invalid value 100%/],
    ['dm.min_free_space=much', /Invalid value much/],
    ['dm.basesize=1K', /too small/],
    ['dm.thinpooldev=/dev/sda', /not the name of a device/],
    ['dm.blkdiscard=maybe', /ParseBool/],
    ['dm.directlvm_device=/dev/sdb', /unknown option dm.directlvm_device/],
    ['overlay2.size=1G', /unknown option overlay2.size/],
  ] as const) {
    assert.throws(() => read(option), { kind: 'invalid', message }, option);
  }
  assert.throws(() => read('dm.use_deferred_removal=false', 'dm.use_deferred_deletion=true'), /needs/);
});
