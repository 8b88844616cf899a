import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { FilesystemSync, mountsBelow } from '../../linux/index.ts';
import { PowerCutDisk } from '../../linux/testing/index.ts';
import { digestOf } from '../../oci/index.ts';
import { childEnvironment } from './compile-cache.ts';
import type { CrashOrder } from './crash-child.ts';
import { asObject } from './listing.ts';
import { type DriverUnderTest, Rig } from './rig.ts';

const mebibyte = 1 << 20;
const size = 50 * mebibyte;

function makeBase(root: string): void {
  mkdirSync(join(root, 'dir'));
  for (const name of ['dir/a', 'dir/b', 'lower']) writeFileSync(join(root, name), name);
}

function change(root: string): void {
  writeFileSync(join(root, 'lower'), 'changed');
  rmSync(join(root, 'dir/a'));
  rmSync(join(root, 'dir/b'));
  writeFileSync(join(root, 'dir/b'), 'made anew');
  mkdirSync(join(root, 'new'));
  writeFileSync(join(root, 'new/file'), Buffer.alloc(mebibyte, 1));
}

/** One file of a mebibyte after the other, as far as it goes; the error of the last, or how many there are. */
function fill(root: string, name: string, mebibytes: number): number | { readonly errno: number } {
  for (let i = 0; i < mebibytes; i++) {
    try {
      writeFileSync(join(root, `${name}-${i}`), Buffer.alloc(mebibyte, i + 1));
    } catch (error) {
      const { errno } = error as NodeJS.ErrnoException;
      return { errno: errno ?? 0 };
    }
  }
  return mebibytes;
}

/** Project quota of XFS, image: ENOSPC. btrfs, project quota of ext4: EDQUOT, which has no name in Node. */
const fullErrors = [-28, -122];

/** Files under a folder that loop devices show. Devices of others come and go meanwhile. */
function loopFilesBelow(folder: string): string[] {
  return readdirSync('/sys/block')
    .flatMap((name) => {
      try {
        return [readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim()];
      } catch {
        return [];
      }
    })
    .filter((path) => path.startsWith(folder));
}

/** `--storage-opt size`: a writable layer that can grow so far and no further. */
export function testSizes(under: DriverUnderTest): void {
  test('a container cannot grow beyond its size, and nothing else suffers', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, makeBase);
    await rig.driver.prepare('box', base, { size });
    await rig.driver.prepare('free', base);
    await rig.driver.prepare('any', base, { size: 0 });
    const root = await rig.driver.mount('box');
    assert.equal(fill(root, 'fits', 25), 25);
    const full = fill(root, 'over', 50);
    assert.ok(typeof full === 'object' && fullErrors.includes(full.errno), JSON.stringify(full));
    assert.equal(readFileSync(join(root, 'fits-3')).at(-1), 4);
    assert.equal(readFileSync(join(root, 'dir/a'), 'utf8'), 'dir/a');
    for (let i = 0; i < 20; i++) rmSync(join(root, `fits-${i}`));
    using filesystem = new FilesystemSync(root);
    await filesystem.sync();
    assert.equal(fill(root, 'again', 10), 10);
    filesystem[Symbol.dispose]();
    await rig.driver.unmount('box');
    for (const key of ['free', 'any']) {
      assert.equal(await rig.within(key, (free) => fill(free, 'mine', 60)), 60);
    }
    const usage = await rig.driver.usage('box');
    assert.ok(usage.contentBytes < size + 25, JSON.stringify(usage));
  });

  test('nearly all of a size can be used, by large files and by many small ones', async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('large', undefined, { size });
    assert.equal(await rig.within('large', (root) => fill(root, 'large', 48)), 48);
    await rig.driver.prepare('small', undefined, { size: 8 * mebibyte });
    await rig.within('small', (root) => {
      for (let i = 0; i < 1500; i++) writeFileSync(join(root, String(i)), 'x');
    });
  });

  test('changes, diff, usage and commit of a limited container are those of any', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, makeBase);
    await rig.active('free', base, change);
    await rig.driver.prepare('box', base, { size });
    await rig.within('box', change);
    const expected = await rig.changes('free');
    const free = await rig.driver.usage('free');
    const ignoreTimes = { ignoreTimes: true };
    const shown = asObject(await rig.list('box', ignoreTimes));
    assert.deepEqual(shown, asObject(await rig.list('free', ignoreTimes)));
    const look = async (): Promise<void> => {
      // Quotas count what has reached the disk.
      using filesystem = new FilesystemSync(rig.root);
      await filesystem.sync();
      assert.deepEqual(await rig.changes('box'), expected);
      const { contentBytes, bytes, inodes } = await rig.driver.usage('box');
      assert.deepEqual({ contentBytes, inodes }, { contentBytes: free.contentBytes, inodes: free.inodes });
      assert.ok(bytes >= mebibyte && bytes < size, `${bytes} bytes`);
      const { chain } = await rig.reapply('box');
      assert.deepEqual(asObject(await rig.list(chain, ignoreTimes)), shown);
      await rig.driver.remove(chain);
    };
    await look();
    await rig.driver.mount('box');
    await look();
    // The engine ends and starts again while the container runs.
    await rig.reopen();
    await rig.driver.recover();
    await look();
    assert.equal(fill(await rig.driver.mount('box'), 'over', 60) instanceof Object, true);
    await rig.driver.unmount('box');
    await rig.within('box', (root) => {
      for (const name of readdirSync(root)) if (name.startsWith('over-')) rmSync(join(root, name));
    });
    assert.deepEqual(mountsBelow(rig.root), []);
    assert.deepEqual(loopFilesBelow(rig.root), []);
    const chain = digestOf('limited');
    await rig.driver.commit('box', chain);
    assert.deepEqual(asObject(await rig.list(chain, ignoreTimes)), shown);
    assert.deepEqual(await rig.changes(chain), expected);
    await rig.driver.prepare('child', chain);
    assert.equal(await rig.within('child', (root) => fill(root, 'mine', 60)), 60);
  });

  test('a full container can be committed, and a limited one removed while it is mounted elsewhere', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, makeBase);
    await rig.driver.prepare('box', base, { size: 8 * mebibyte });
    await rig.within('box', (root) => fill(root, 'over', 20));
    const files = Object.keys(asObject(await rig.list('box')));
    assert.ok(files.length < 20, files.join());
    const chain = digestOf('full');
    await rig.driver.commit('box', chain);
    assert.deepEqual(Object.keys(asObject(await rig.list(chain))), files);
    await rig.driver.remove(chain);
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), []);
    assert.deepEqual(loopFilesBelow(rig.root), []);
  });

  test('killed in the life of a limited container: no mount and no loop device stays', async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    const moments = [undefined, 15, 45, 5, 30, 60].slice(0, under.kills);
    for (const after of moments) {
      const key = `box-${after}`;
      const child = fork(new URL('./crash-child.ts', import.meta.url), {
        env: childEnvironment(),
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      const exit = once(child, 'exit');
      const order: CrashOrder = {
        module: under.module.href,
        exported: under.exported,
        root: rig.snapshots,
        job: { type: 'live', key, parent, size },
      };
      child.send(order);
      await Promise.race([once(child, 'message'), exit]);
      if (after !== undefined) {
        await Promise.race([delay(after), exit]);
        child.kill('SIGKILL');
      }
      await exit;
      await rig.reopen();
      await rig.driver.recover();
      if (rig.driver.has(key)) {
        assert.equal(await rig.within(key, (root) => fill(root, 'fits', 25)), 25);
        await rig.driver.unmount(key);
      }
      await rig.driver.remove(key);
      await rig.driver.close();
      assert.deepEqual(rig.leftovers(), [], `killed after ${after} ms`);
      assert.deepEqual(mountsBelow(rig.root), []);
      assert.deepEqual(loopFilesBelow(rig.root), []);
    }
  });

  test('what a limited container synced is there after a power cut', async () => {
    using disk = under.disk?.() ?? new PowerCutDisk();
    await using rig = new Rig(under, disk.path);
    const base = await rig.commit(undefined, makeBase);
    await rig.driver.prepare('box', base, { size: 20 * mebibyte });
    await rig.driver.prepare('fresh', base, { size: 20 * mebibyte });
    const root = await rig.driver.mount('box');
    change(root);
    if (under.handsOnSyncfs === false) {
      syncEach(root);
    } else {
      using filesystem = new FilesystemSync(root);
      await filesystem.sync();
    }
    const listing = asObject(await rig.list('box'));
    disk.cut();
    await rig.reopen();
    await rig.driver.recover();
    assert.deepEqual(asObject(await rig.list('box')), listing);
    assert.equal(await rig.within('fresh', (fresh) => fill(fresh, 'fits', 10)), 10);
  });
}

/** fsync(2) of everything in a folder, and of the folder. */
function syncEach(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    if (entry.isDirectory()) syncEach(child);
    else if (entry.isFile()) syncOne(child);
  }
  syncOne(path);
}

function syncOne(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
