import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { check, mknodat } from '../../linux/index.ts';
import { type ChainID, digestOf } from '../../oci/index.ts';
import { expectedChanges } from './expected-changes.ts';
import { asObject, type Listing, listTree } from './listing.ts';
import { type DriverUnderTest, Rig } from './rig.ts';
import type { UnionCase } from './union-case.ts';
import { makeBase, unionCases } from './union-cases.ts';

/**
 * Each case is done in a snapshot and in a plain folder with the same content. Both must look the same; the changes and
 * the diff must tell exactly what happened.
 */
export function testChanges(under: DriverUnderTest): void {
  describe('behaves as a plain folder, and its diff tells all, when', () => {
    // One data root for all: what a driver does once is done once.
    let rig: Rig;
    const parents = new Map<UnionCase['act'], Promise<Parent>>();
    const parentOf = (base: UnionCase['act']): Promise<Parent> => {
      const made = parents.get(base) ?? makeParent(rig, base);
      parents.set(base, made);
      return made;
    };
    before(() => {
      rig = new Rig(under);
    });
    after(() => rig[Symbol.asyncDispose]());
    for (const unionCase of unionCases) {
      test(unionCase.name, async () => {
        await runCase(under, rig, unionCase, await parentOf(unionCase.base ?? makeBase));
      });
    }
  });

  test('a second diff of an unchanged snapshot has the same DiffID', async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    await rig.active('box', parent, (root) => {
      rmSync(join(root, 'dir'), { recursive: true });
      for (let i = 0; i < 20; i++) writeFileSync(join(root, `file${19 - i}`), String(i));
    });
    const [one, two] = [rig.path(), rig.path()];
    const first = await rig.driver.diff('box', one, 'none');
    const second = await rig.driver.diff('box', two, 'zstd');
    assert.equal(first.diffId, second.diffId);
    assert.equal(first.digest, first.diffId);
    assert.equal(statSync(one).size, first.blobSize);
    assert.equal(statSync(two).size, second.blobSize);
  });

  test('committing under the name of its diff gives what applying the diff gives', async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    const act = (root: string): void => {
      rmSync(join(root, 'dir'), { recursive: true });
      appendFileSync(join(root, 'big'), 'more');
      unlinkSync(join(root, 'hard1'));
    };
    await rig.active('box', parent, act);
    const shown = asObject(await rig.list('box'));
    const { chain, size } = await rig.reapply('box');
    assert.deepEqual(asObject(await rig.list(chain)), shown);
    await rig.driver.remove(chain);
    await rig.driver.commit('box', chain);
    assert.deepEqual(asObject(await rig.list(chain)), shown);
    assert.equal(
      (await rig.driver.apply({ chainId: chain, parent, diffId: chain, path: '', compression: 'auto' })).size,
      size,
    );
  });

  test('a deleted name is seen through many layers: deleted, made again, deleted', async () => {
    await using rig = new Rig(under);
    const steps: ((root: string) => void)[] = [
      makeBase,
      (root) => rmSync(join(root, 'dir'), { recursive: true }),
      (root) => mkdirSync(join(root, 'dir')),
      (root) => writeFileSync(join(root, 'dir/a'), 'second'),
      (root) => rmSync(join(root, 'dir/a')),
      (root) => mkdirSync(join(root, 'dir/a')),
    ];
    const plain = rig.plainFolder();
    let top: Awaited<ReturnType<Rig['commit']>> | undefined;
    for (const step of steps) {
      step(plain);
      top = await rig.commit(top, step);
      const options = { ignoreTimes: true };
      assert.deepEqual(asObject(await rig.list(top, options)), asObject(listTree(plain, options)));
    }
  });

  test('the first write to a file copies it whole, a read copies nothing', async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    await rig.active('box', parent, (root) => readFileSync(join(root, 'big')));
    const before = await rig.driver.usage('box');
    assert.deepEqual(await rig.changes('box'), []);
    await rig.within('box', (root) => appendFileSync(join(root, 'big'), '!'));
    const after = await rig.driver.usage('box');
    const full = (1 << 20) + 1;
    assert.deepEqual([before.contentBytes, after.contentBytes], [0, full]);
    assert.deepEqual(await rig.changes('box'), ['C /big']);
  });

  test('a file opened for reading before the first write keeps its old content', async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    await rig.driver.prepare('box', parent);
    const root = await rig.driver.mount('box');
    const fd = openSync(join(root, 'file'), 'r');
    const { ino } = fstatSync(fd);
    assert.equal(statSync(join(root, 'file')).ino, ino);
    closeSync(fd);
    appendFileSync(join(root, 'file'), 'more');
    assert.equal(readFileSync(join(root, 'file'), 'utf8'), 'filemore');
    await rig.driver.unmount('box');
  });

  test("renaming a parent's folder does what the kernel does", async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('box', await rig.commit(undefined, makeBase));
    const root = await rig.driver.mount('box');
    const rename = (): void => renameSync(join(root, 'dir'), join(root, 'moved'));
    if (under.renamesLowerFolders) {
      rename();
      assert.equal(readFileSync(join(root, 'moved/a'), 'utf8'), 'dir/a');
    } else {
      assert.throws(rename, { code: 'EXDEV' });
      assert.equal(readFileSync(join(root, 'dir/a'), 'utf8'), 'dir/a');
    }
    await rig.driver.unmount('box');
  });

  test("a change of the root's own mode is kept by a commit, though no diff tells it", async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    await rig.active('box', parent, (root) => chmodSync(root, 0o711));
    assert.deepEqual(await rig.changes('box'), []);
    const chain = digestOf('changed root');
    await rig.driver.commit('box', chain);
    assert.equal((await rig.list(chain)).get('/'), 'folder 711 0:0');
  });

  test('a socket does not stop a diff, and is no part of it', async () => {
    await using rig = new Rig(under);
    const parent = await rig.commit(undefined, makeBase);
    const socket = 0o140755;
    await rig.active('box', parent, (root) => {
      check(mknodat(-100, join(root, 'dir/socket'), socket), 'mknod', 'socket');
    });
    assert.ok((await rig.changes('box')).includes('A /dir/socket'));
    const { chain } = await rig.reapply('box');
    assert.ok(!(await rig.list(chain)).has('/dir/socket'), 'a socket is not part of a layer');
  });

  test('a snapshot on nothing lists everything as added', async () => {
    await using rig = new Rig(under);
    await rig.active('box', undefined, (root) => {
      mkdirSync(join(root, 'a/b'), { recursive: true });
      writeFileSync(join(root, 'a/b/c'), '');
    });
    assert.deepEqual(await rig.changes('box'), ['A /a', 'A /a/b', 'A /a/b/c']);
    const { chain } = await rig.reapply('box');
    assert.deepEqual(asObject(await rig.list(chain)), asObject(await rig.list('box')));
  });
}

/** What cases of one base stand on. */
interface Parent {
  readonly chain: ChainID;
  readonly before: Listing;
}

async function makeParent(rig: Rig, base: UnionCase['act']): Promise<Parent> {
  const chain = await rig.commit(undefined, base);
  return { chain, before: await rig.list(chain) };
}

async function runCase(
  under: DriverUnderTest,
  rig: Rig,
  unionCase: UnionCase,
  parent: Parent,
): Promise<void> {
  const { name, base = makeBase, act, breaksLinks = false } = unionCase;
  const { before } = parent;
  const ignoreTimes = { ignoreTimes: true };
  await rig.active(name, parent.chain, act);
  if (!breaksLinks || under.renamesLowerFolders) {
    const plain = rig.plainFolder();
    base(plain);
    act(plain);
    assert.deepEqual(asObject(await rig.list(name, ignoreTimes)), asObject(listTree(plain, ignoreTimes)));
  }
  assert.deepEqual(asObject(await rig.list(parent.chain)), asObject(before), 'the parent changed');

  const after = await rig.list(name);
  const changes = await rig.changes(name);
  checkChanges(changes, expectedChanges(before, after), (path) => before.has(path) && after.has(path));

  const again = await rig.reapply(name);
  assert.deepEqual(asObject(await rig.list(again.chain)), asObject(after), 'applied elsewhere');
  assert.equal(again.size, again.blob.size);
  assert.deepEqual(asObject(await rig.list(name)), asObject(after), 'the snapshot stays as it is');
  const committed = digestOf(name);
  await rig.driver.commit(name, committed);
  assert.deepEqual(asObject(await rig.list(committed)), asObject(after), 'committed');
  for (const key of [committed, again.chain]) await rig.driver.remove(key);
}

/** All that must be said is said; beyond it only files that were copied up and came out as they were. */
function checkChanges(
  actual: readonly string[],
  expected: readonly string[],
  isInBoth: (path: string) => boolean,
): void {
  const missing = expected.filter((line) => !actual.includes(line));
  const surplus = actual.filter(
    (line) => !expected.includes(line) && !(line.startsWith('C ') && isInBoth(line.slice(2))),
  );
  assert.deepEqual({ missing, surplus }, { missing: [], surplus: [] }, actual.join('\n'));
  const paths = actual.map((line) => line.slice(2));
  assert.deepEqual(paths, [...paths].sort(), 'sorted by path');
}
