import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsBelow } from '../../linux/index.ts';
import { type ChainID, digestOf } from '../../oci/index.ts';
import { type DriverUnderTest, Rig } from './rig.ts';

/** Many users at once, and what the dead left behind. */
export function testConcurrency(under: DriverUnderTest): void {
  test('containers come and go at once, while layers are applied and committed', async () => {
    await using rig = new Rig(under);
    const base = await rig.apply(undefined, [
      { name: 'dir/', type: '5' },
      { name: 'dir/file', content: 'base' },
    ]);
    const container = async (index: number): Promise<void> => {
      const key = `box ${index}`;
      await rig.active(key, base, (root) => writeFileSync(join(root, 'dir/mine'), String(index)));
      assert.deepEqual(await rig.changes(key), ['C /dir', 'A /dir/mine']);
      assert.equal(
        await rig.within(key, (root) => readFileSync(join(root, 'dir/mine'), 'utf8')),
        String(index),
      );
      await rig.driver.remove(key);
    };
    const step = async (index: number): Promise<ChainID> => {
      const chain = await rig.commit(
        base,
        (root) => writeFileSync(join(root, 'step'), String(index)),
        `${index}`,
      );
      return await rig.apply(chain, [{ name: `on-${index}`, content: 'x' }]);
    };
    const indexes = Array.from({ length: 8 }, (_, index) => index);
    const [tops] = await Promise.all([Promise.all(indexes.slice(0, 4).map(step)), ...indexes.map(container)]);
    for (const [index, top] of tops.entries()) {
      const names = await rig.within(top, (root) => readdirSync(root).sort());
      assert.deepEqual(names, ['dir', `on-${index}`, 'step']);
    }
    await rig.driver.close();
    assert.equal([...rig.driver.list()].length, 9);
    assert.deepEqual(mountsBelow(rig.root), []);
    assert.deepEqual(rig.leftovers(), []);
  });

  test('one snapshot is mounted and unmounted by many at once', async () => {
    await using rig = new Rig(under);
    await rig.active('box', await rig.commit(undefined, () => undefined), (root) =>
      mkdirSync(join(root, 'dir')),
    );
    const roots = await Promise.all(Array.from({ length: 10 }, () => rig.driver.mount('box')));
    assert.equal(new Set(roots).size, 1);
    await Promise.all(roots.slice(1).map(() => rig.driver.unmount('box')));
    assert.deepEqual(readdirSync(roots[0] ?? ''), ['dir']);
    await rig.driver.unmount('box');
    assert.deepEqual(mountsBelow(rig.root), []);
  });

  test('recovery drops what was being made and what was being deleted', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, (root) => writeFileSync(join(root, 'file'), ''));
    await rig.driver.close();
    for (const name of ['staging', 'trash']) {
      const half = join(rig.folder, name, digestOf(name).slice(7, 39), 'half');
      mkdirSync(half, { recursive: true });
      writeFileSync(join(half, 'file'), 'x');
    }
    assert.equal(rig.leftovers().length, 2);
    await rig.reopen();
    await rig.driver.recover();
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), []);
    assert.deepEqual(
      [...rig.driver.list()].map(({ key }) => key),
      [base],
    );
  });

  test('the root of a snapshot is 0755 whatever the umask of the process', async () => {
    await using rig = new Rig(under);
    for (const umask of [0o000, 0o077]) {
      const before = process.umask(umask);
      try {
        const layer = await rig.apply(undefined, [{ name: `with-${umask}`, mode: 0o666, content: '' }]);
        await rig.driver.prepare(`box ${umask}`, undefined);
        await rig.driver.prepare(`child ${umask}`, layer);
        assert.equal((await rig.list(`box ${umask}`)).get('/'), 'folder 755 0:0');
        const listing = await rig.list(`child ${umask}`, { ignoreTimes: true });
        assert.equal(listing.get('/'), 'folder 755 0:0');
        assert.match(listing.get(`/with-${umask}`) ?? '', /^file 666 /);
      } finally {
        process.umask(before);
      }
    }
  });
}
