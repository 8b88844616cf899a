import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PowerCutDisk } from '../../linux/testing/index.ts';
import { digestOf } from '../../oci/index.ts';
import { asObject } from './listing.ts';
import { type DriverUnderTest, Rig } from './rig.ts';
import type { TestEntry } from './tar.ts';

const entries: readonly TestEntry[] = Array.from({ length: 200 }, (_, i) => ({
  name: `folder-${i % 10}/file-${i}`,
  content: `content ${i} `.repeat(100),
}));

/** Power fails the moment a call has returned: what it promised is there, whole. A disk that is full says so. */
export function testPowerCuts(under: DriverUnderTest): void {
  const makeDisk = under.disk ?? (() => new PowerCutDisk());
  test('a layer that was applied is whole after a power cut', async () => {
    using disk = makeDisk();
    await using rig = new Rig(under, disk.path);
    const chain = await rig.apply(undefined, entries);
    disk.cut();
    await rig.reopen();
    await rig.driver.recover();
    const listing = await rig.list(chain);
    assert.equal(listing.size, 211);
    for (const { name, content } of entries) {
      assert.match(listing.get(`/${name}`) ?? 'missing', new RegExp(` ${content?.length} bytes `), name);
    }
  });

  test('a prepared, a committed and a removed snapshot are so after a power cut', async () => {
    using disk = makeDisk();
    await using rig = new Rig(under, disk.path);
    const base = await rig.apply(undefined, entries);
    const gone = await rig.apply(base, [{ name: 'gone' }]);
    const fill = (root: string): void => {
      for (let i = 0; i < 50; i++) writeFileSync(join(root, `mine-${i}`), 'x'.repeat(i * 100));
    };
    await rig.active('step', base, fill);
    const before = asObject(await rig.list('step'));
    const chain = digestOf('step');
    await rig.driver.commit('step', chain);
    await rig.driver.remove(gone);
    await rig.driver.prepare('box', chain);
    disk.cut();
    await rig.reopen();
    await rig.driver.recover();
    assert.deepEqual([...rig.driver.list()].map(({ key }) => key).sort(), [base, chain, 'box'].sort());
    assert.deepEqual(asObject(await rig.list(chain)), before);
    assert.deepEqual(asObject(await rig.list('box')), before);
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), []);
  });

  test('a full disk fails the layer and harms nothing else', async () => {
    using disk = under.disk?.() ?? new PowerCutDisk({ mebibytes: 48 });
    const tooMuch = under.overfull ?? (under.disk ? 160 : 64);
    await using rig = new Rig(under, disk.path);
    const base = await rig.apply(undefined, entries);
    const before = asObject(await rig.list(base));
    // The archive lies elsewhere: only what is unpacked fills the disk.
    await using elsewhere = new Rig(under);
    const big = elsewhere.layer(base, [{ name: 'big', content: 'x'.repeat(tooMuch << 20) }]);
    await assert.rejects(rig.driver.apply(big), { kind: 'exhausted' });
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), []);
    assert.ok(!rig.driver.has(big.chainId));
    assert.deepEqual(asObject(await rig.list(base)), before);
    await rig.apply(base, [{ name: 'small', content: 'fits again' }]);
  });
}
