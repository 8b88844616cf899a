import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { parseBytes } from '../../../../base/index.ts';
import { attachLoop, DeviceMapper, deviceCommand, FilesystemSync } from '../../../../linux/index.ts';
import { parseStorageOptions } from '../../../options.ts';
import { type DriverUnderTest, Rig } from '../../../testing/index.ts';
import { DeviceMapperDriver } from '../devicemapper.ts';
import { endDevices, loopFiles, ourDevices, usedBlocks } from './devices.ts';

const mebibyte = 1 << 20;
const block = 64 * 1024;

/** The driver with other options. */
function having(under: DriverUnderTest, ...options: readonly string[]): DriverUnderTest {
  const parsed = parseStorageOptions(options);
  return { ...under, create: (root) => new DeviceMapperDriver(root, parsed) };
}

const small = ['dm.basesize=256M', 'dm.loopdatasize=100M', 'dm.loopmetadatasize=4M'];

function value(rig: Rig, name: string): string {
  return rig.driver.status().find(([key]) => key === name)?.[1] ?? '';
}

/** Waits until something holds, for what the kernel does a little later. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `not within 20 s: ${what}`);
    await delay(20);
  }
}

/** Fills a file piece by piece: the guest cannot map much memory into one process. */
function fill(path: string, mebibytes: number): void {
  const fd = openSync(path, 'w');
  try {
    for (let i = 0; i < mebibytes; i += 10) writeSync(fd, Buffer.alloc(10 * mebibyte, 1));
  } finally {
    closeSync(fd);
  }
}

async function sync(path: string): Promise<void> {
  using filesystem = new FilesystemSync(path);
  await filesystem.sync();
}

/** A thin pool as dmsetup(8) makes one, with blocks of 128 KiB. */
function administratorsPool(folder: string, name: string): Disposable {
  using mapper = new DeviceMapper();
  const [data, metadata] = [join(folder, 'disk'), join(folder, 'tables')];
  writeFileSync(data, '');
  truncateSync(data, 100 * mebibyte);
  writeFileSync(metadata, Buffer.alloc(4 * mebibyte));
  using dataLoop = attachLoop(data);
  using metadataLoop = attachLoop(metadata);
  const length = (100 * mebibyte) / 512;
  const parameters = `${metadataLoop.path} ${dataLoop.path} 256 1 1 error_if_no_space`;
  mapper.runSync(deviceCommand.create(name));
  mapper.runSync(deviceCommand.load(name, [{ start: 0, length, type: 'thin-pool', parameters }]));
  mapper.runSync(deviceCommand.resume(name));
  return { [Symbol.dispose]: endDevices };
}

/** What only a pool of blocks does. */
export function testDeviceMapper(under: DriverUnderTest): void {
  describe('thin pool', () => {
    test('says of itself what docker info shows', async () => {
      await using rig = new Rig(under);
      await rig.driver.prepare('box', undefined);
      const names = rig.driver.status().map(([name]) => name);
      for (const name of [
        'Pool Name',
        'Pool Blocksize',
        'Base Device Size',
        'Data Space Used',
        'Data Space Total',
        'Data Space Available',
        'Metadata Space Used',
        'Thin Pool Minimum Free Space',
        'Deferred Removal Enabled',
      ]) {
        assert.ok(names.includes(name), name);
      }
      assert.equal(value(rig, 'Backing Filesystem'), 'ext4');
      assert.equal(value(rig, 'Pool Blocksize'), '65.54kB');
      assert.deepEqual(Object.keys(rig.driver.metadata('box')), ['DeviceId', 'DeviceName', 'DeviceSize']);
    });

    test('takes blocks when they are written: volumes of 1 GiB cost a few', async () => {
      await using rig = new Rig(under);
      await rig.driver.prepare('first', undefined);
      const before = usedBlocks();
      assert.ok(before * block < 8 * mebibyte, `an empty base takes ${before} blocks`);
      for (let i = 0; i < 5; i++) await rig.driver.prepare(`box ${i}`, undefined);
      assert.equal(usedBlocks(), before, 'snapshots take nothing');
      await rig.within('first', (root) => assert.ok(statfsSync(root).blocks * 4096 > 900 * mebibyte));
      await rig.within('first', (root) => writeFileSync(join(root, 'ten'), Buffer.alloc(10 * mebibyte, 1)));
      const grown = (usedBlocks() - before) * block;
      assert.ok(grown >= 10 * mebibyte && grown < 13 * mebibyte, `10 MiB took ${grown} bytes`);
      const { blocks } = statSync(join(rig.folder, 'data'));
      assert.ok(blocks * 512 < 32 * mebibyte, `the file takes ${blocks * 512} bytes`);
    });

    test('one byte of a large file of the parent costs one block, not the file', async () => {
      await using rig = new Rig(under);
      const size = 100 * mebibyte;
      const base = await rig.commit(undefined, (root) => {
        fill(join(root, 'large'), size / mebibyte);
      });
      await rig.driver.prepare('box', base);
      const root = await rig.driver.mount('box');
      // What mounting and the first change write themselves comes before.
      writeFileSync(join(root, 'warm'), 'up');
      await sync(root);
      const before = usedBlocks();
      const fd = openSync(join(root, 'large'), 'r+');
      writeSync(fd, 'y', size / 2);
      fsyncSync(fd);
      closeSync(fd);
      const grown = usedBlocks() - before;
      // The file's block, and its inode and journal where those lie in shared blocks still.
      assert.ok(grown >= 1 && grown <= 4, `one byte cost ${grown} blocks`);
      await rig.driver.unmount('box');
      const { bytes } = await rig.driver.usage('box');
      assert.ok(bytes >= block && bytes < 16 * block, `the container takes ${bytes} bytes`);
      const whole = await rig.driver.usage(base);
      assert.ok(whole.bytes >= size && whole.bytes < size + 4 * mebibyte, `its image takes ${whole.bytes}`);
      const there = (path: string): string => {
        const bytes = Buffer.alloc(2);
        const large = openSync(join(path, 'large'), 'r');
        readSync(large, bytes, 0, 2, size / 2);
        closeSync(large);
        return bytes.toString('hex');
      };
      assert.equal(await rig.within('box', there), '7901');
      assert.equal(await rig.within(base, there), '0101');
    });

    test('snapshots of snapshots live on without those that are removed', async () => {
      await using rig = new Rig(under);
      const write = (name: string) => (root: string) => writeFileSync(join(root, name), name.repeat(1000));
      const one = await rig.commit(undefined, write('one'));
      const two = await rig.commit(one, write('two'));
      await rig.active('box', two, write('three'));
      await rig.active('other', two, write('four'));
      await rig.driver.remove('other');
      await rig.within('box', (root) => {
        for (const name of ['one', 'two', 'three']) assert.ok(existsSync(join(root, name)), name);
        assert.ok(!existsSync(join(root, 'four')));
      });
    });

    test('gives the room of a removed snapshot back to the disk', async () => {
      await using rig = new Rig(under);
      await rig.driver.prepare('keep', undefined);
      const data = (): number => statSync(join(rig.folder, 'data')).blocks * 512;
      const [blocks, bytes] = [usedBlocks(), data()];
      await rig.active('box', undefined, (root) =>
        writeFileSync(join(root, 'f'), Buffer.alloc(20 * mebibyte, 1)),
      );
      assert.ok(data() - bytes >= 20 * mebibyte);
      await rig.driver.remove('box');
      await until('the volume is deleted', () => rig.leftovers().length === 0);
      assert.equal(usedBlocks(), blocks);
      assert.ok(data() - bytes < 2 * mebibyte, `${data() - bytes} bytes more than before`);
    });

    test('makes no snapshot when less than dm.min_free_space is free, and says so', async () => {
      await using rig = new Rig(having(under, ...small, 'dm.min_free_space=50%'));
      await rig.active('box', undefined, (root) => fill(join(root, 'f'), 60));
      await assert.rejects(rig.driver.prepare('next', undefined), {
        kind: 'exhausted',
        code: 'POOL_FULL',
        message:
          /^devmapper: Thin Pool has \d+ free data blocks which is less than minimum required 800 free/,
      });
      assert.ok(!rig.driver.has('next'));
      await rig.driver.remove('box');
      await until('the volume is deleted', () => rig.leftovers().length === 0);
      await rig.driver.prepare('next', undefined);
    });

    test('a full pool fails what is written, keeps the rest, and works again when there is room', async () => {
      await using rig = new Rig(having(under, ...small, 'dm.min_free_space=1%'));
      const base = await rig.apply(undefined, [{ name: 'safe', content: 'safe' }]);
      await rig.driver.prepare('box', base);
      const root = await rig.driver.mount('box');
      await assert.rejects(async () => {
        fill(join(root, 'big'), 150);
        await sync(root);
      }, /ENOSPC|EIO|EROFS/);
      await rig.driver.unmount('box');
      await assert.rejects(rig.driver.prepare('next', base), { kind: 'exhausted', code: 'POOL_FULL' });
      const read = (path: string): string => readFileSync(join(path, 'safe'), 'utf8');
      assert.equal(await rig.within(base, read), 'safe');
      await rig.driver.remove('box');
      await until('the volume is deleted', () => rig.leftovers().length === 0);
      await rig.active('next', base, (next) => writeFileSync(join(next, 'mine'), 'x'));
      assert.equal(await rig.within('next', read), 'safe');
    });

    test('a volume that was made but not confirmed when the process was killed is rolled back', async () => {
      await using rig = new Rig(under);
      await rig.driver.prepare('box', undefined);
      const pool = value(rig, 'Pool Name');
      // Killed between create_snap and set_transaction_id.
      const script = `
        import { DeviceMapper } from ${JSON.stringify(new URL('../../../../linux/index.ts', import.meta.url).href)};
        import { DeviceMapperDriver } from ${JSON.stringify(new URL('../devicemapper.ts', import.meta.url).href)};
        const { run } = DeviceMapper.prototype;
        DeviceMapper.prototype.run = function (command) {
          if (command.payload.includes('set_transaction_id')) process.kill(process.pid, 'SIGKILL');
          return run.call(this, command);
        };
        await new DeviceMapperDriver(${JSON.stringify(rig.snapshots)}).prepare('lost', undefined);`;
      const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      assert.equal(child.signal, 'SIGKILL', child.stderr);
      const path = join(rig.folder, 'transaction.json');
      const { deviceId } = JSON.parse(readFileSync(path, 'utf8')) as { deviceId: number };
      await rig.reopen();
      const report = await rig.driver.recover();
      assert.ok(
        report.includes(`rolled back the volume ${deviceId} of an unfinished snapshot`),
        report.join(),
      );
      using mapper = new DeviceMapper();
      const again = deviceCommand.message(pool, `delete ${deviceId}`);
      assert.throws(() => mapper.runSync(again), { code: 'ENODATA' });
      await rig.driver.prepare('next', undefined);
      assert.equal(rig.driver.metadata('next')['DeviceId'], String(deviceId + 1));
      await rig.reopen();
      assert.deepEqual(await rig.driver.recover(), []);
      assert.deepEqual([...rig.driver.list()].map(({ key }) => key).sort(), ['box', 'next']);
      assert.deepEqual(rig.leftovers(), []);
    });

    test('a busy volume is removed when its last user has gone', async () => {
      await using rig = new Rig(under);
      await rig.active('box', undefined, (root) => writeFileSync(join(root, 'file'), 'kept'));
      const root = await rig.driver.mount('box');
      const name = rig.driver.metadata('box')['DeviceName'] ?? '';
      const fd = openSync(join(root, 'file'), 'r');
      await rig.driver.unmount('box');
      assert.ok(ourDevices().includes(name), 'in use');
      await rig.driver.remove('box');
      assert.ok(!rig.driver.has('box'));
      assert.equal(readFileSync(fd, 'utf8'), 'kept');
      closeSync(fd);
      await until('the device is gone', () => !ourDevices().includes(name));
      await rig.driver.close();
      assert.deepEqual(rig.leftovers(), []);
      assert.deepEqual(ourDevices(), []);
    });

    test('a busy volume whose removal waits can be mounted again', async () => {
      await using rig = new Rig(under);
      await rig.active('box', undefined, (root) => writeFileSync(join(root, 'file'), 'kept'));
      const fd = openSync(join(await rig.driver.mount('box'), 'file'), 'r');
      await rig.driver.unmount('box');
      const root = await rig.driver.mount('box');
      closeSync(fd);
      assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'kept');
      const name = rig.driver.metadata('box')['DeviceName'] ?? '';
      await rig.driver.unmount('box');
      await until('the device is gone', () => !ourDevices().includes(name));
    });

    test('what a dead process left mounted and suspended is ended', async () => {
      await using rig = new Rig(under);
      const base = await rig.apply(undefined, [{ name: 'file' }]);
      await rig.driver.mount(base);
      using mapper = new DeviceMapper();
      mapper.runSync(deviceCommand.suspend(rig.driver.metadata(base)['DeviceName'] ?? ''));
      await rig.reopen();
      const report = await rig.driver.recover();
      assert.match(report.join('; '), /unmounted .* which nobody uses/);
      assert.deepEqual(ourDevices().length, 1, 'the pool is left');
      assert.deepEqual(await rig.driver.recover(), []);
    });

    test('with dm.mountopt=discard, files that a container deletes give their blocks back', async () => {
      await using rig = new Rig(having(under, ...small, 'dm.mountopt=discard'));
      await rig.driver.prepare('box', undefined);
      const root = await rig.driver.mount('box');
      fill(join(root, 'f'), 20);
      await sync(root);
      const full = usedBlocks();
      rmSync(join(root, 'f'));
      await sync(root);
      await until('the blocks are free', () => full - usedBlocks() > (18 * mebibyte) / block);
      await rig.driver.unmount('box');
    });

    test('a tree that is about to be deleted leaves no device, though nobody closed its driver', async () => {
      await using rig = new Rig(under);
      await rig.driver.prepare('box', await rig.apply(undefined, [{ name: 'file' }]));
      const other = under.create(rig.snapshots);
      await other.destroy?.();
      assert.deepEqual(ourDevices(), []);
      await other.destroy?.();
    });

    test('a damaged image is found and made anew from its layer', async () => {
      await using rig = new Rig(under);
      const layer = rig.layer(undefined, [{ name: 'file', content: 'right' }]);
      await rig.driver.apply(layer);
      const options = { layerOf: () => layer };
      assert.deepEqual(await rig.driver.check?.(options), []);
      const before = usedBlocks();
      const root = await rig.driver.mount(layer.chainId);
      execFileSync('mount', ['-o', 'remount,rw', root]);
      writeFileSync(join(root, 'file'), 'wrong');
      await rig.driver.unmount(layer.chainId);
      const [problem, ...others] = (await rig.driver.check?.(options)) ?? [];
      assert.deepEqual([problem?.kind, problem?.subject, others], ['damaged', layer.chainId, []]);
      await rig.driver.rederive?.(layer, join(rig.root, 'aside'));
      assert.deepEqual(await rig.driver.check?.(options), []);
      assert.ok(usedBlocks() <= before + 2, 'the damaged volume is gone');
    });

    test('a raised dm.basesize holds for new images, with what the base has', async () => {
      await using rig = new Rig(having(under, ...small));
      const old = await rig.commit(undefined, (root) => writeFileSync(join(root, 'old'), ''));
      await rig.driver.close();
      const options = [...small.slice(1), 'dm.basesize=512M'];
      rig.driver = new DeviceMapperDriver(rig.snapshots, parseStorageOptions(options));
      await rig.driver.prepare('new', undefined);
      await rig.driver.prepare('on old', old);
      const size = (root: string): number => statfsSync(root).blocks * statfsSync(root).bsize;
      assert.ok((await rig.within('new', size)) > 450 * mebibyte);
      assert.ok((await rig.within('on old', size)) < 256 * mebibyte);
      assert.equal(rig.driver.metadata('new')['DeviceSize'], String(parseBytes('512M')));
    });

    test('a raised dm.loopdatasize is room for the pool', async () => {
      await using rig = new Rig(having(under, ...small));
      await rig.driver.prepare('box', undefined);
      assert.equal(value(rig, 'Data Space Total'), '104.9MB');
      await rig.driver.close();
      const options = [...small, 'dm.loopdatasize=200M'];
      rig.driver = new DeviceMapperDriver(rig.snapshots, parseStorageOptions(options));
      await rig.driver.mount('box');
      assert.equal(value(rig, 'Data Space Total'), '209.7MB');
      await rig.driver.unmount('box');
    });

    for (const filesystem of ['ext4', 'xfs']) {
      test(`a container of its own size has that much, on ${filesystem}`, async () => {
        await using rig = new Rig(
          having(
            under,
            `dm.fs=${filesystem}`,
            'dm.basesize=320M',
            'dm.loopdatasize=1G',
            'dm.loopmetadatasize=8M',
          ),
        );
        const base = await rig.commit(undefined, (root) => writeFileSync(join(root, 'file'), 'base'));
        await assert.rejects(rig.driver.prepare('small', base, { size: 300 * mebibyte }), {
          kind: 'invalid',
          message: 'devmapper: Container size cannot be smaller than 335.5MB',
        });
        await rig.driver.prepare('box', base, { size: 400 * mebibyte });
        await rig.within('box', (root) => {
          assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'base');
          fill(join(root, 'fits'), 300);
          assert.throws(() => fill(join(root, 'more'), 120), {
            code: 'ENOSPC',
          });
          rmSync(join(root, 'more'));
        });
        assert.equal(value(rig, 'Backing Filesystem'), filesystem);
        assert.deepEqual(await rig.changes('box'), ['A /fits']);
        await rig.within(base, (root) =>
          assert.ok(statfsSync(root).blocks * statfsSync(root).bsize < 330 * mebibyte),
        );
      });
    }

    test('a pool that the administrator made is used if it is empty, and left running', async () => {
      await using rig = new Rig(
        having(under, 'dm.thinpooldev=/dev/mapper/varve-test-pool', 'dm.basesize=256M'),
      );
      await assert.rejects(rig.driver.prepare('box', undefined), { kind: 'unavailable', code: 'NO_POOL' });
      using _pool = administratorsPool(rig.root, 'varve-test-pool');
      const base = await rig.apply(undefined, [{ name: 'file', content: 'base' }]);
      await rig.active('box', base, (root) => writeFileSync(join(root, 'mine'), 'x'));
      assert.equal(value(rig, 'Pool Name'), 'varve-test-pool');
      assert.equal(value(rig, 'Pool Blocksize'), '131.1kB');
      assert.ok(!existsSync(join(rig.folder, 'data')));
      await rig.driver.close();
      assert.deepEqual(ourDevices(), ['varve-test-pool']);
      await rig.reopen();
      assert.equal(await rig.within('box', (root) => readFileSync(join(root, 'file'), 'utf8')), 'base');
      await using other = new Rig(having(under, 'dm.thinpooldev=varve-test-pool'));
      await assert.rejects(other.driver.prepare('box', undefined), {
        kind: 'conflict',
        message: /^devmapper: Unable to take ownership of thin-pool/,
      });
      await rig.driver.destroy?.();
      assert.deepEqual(ourDevices(), ['varve-test-pool']);
      assert.equal(usedBlocks(), 0);
      await rig.driver.close();
    });

    test('refuses an option that it does not know', () => {
      assert.throws(() => new DeviceMapperDriver('/nowhere', [['dm.colour', 'red']]), {
        kind: 'invalid',
        message: 'devicemapper: unknown option dm.colour',
      });
    });

    test('leaves no device and no loop device behind', async () => {
      const before = loopFiles();
      await using rig = new Rig(under);
      const base = await rig.apply(undefined, [{ name: 'file' }]);
      for (let i = 0; i < 3; i++)
        await rig.active(`box ${i}`, base, (root) => writeFileSync(join(root, 'x'), ''));
      assert.ok(loopFiles().length > before.length);
      await rig.driver.close();
      assert.deepEqual(ourDevices(), []);
      await until('the loop devices are gone', () => loopFiles().length === before.length);
    });
  });
}
