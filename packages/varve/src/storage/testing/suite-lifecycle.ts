import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsBelow, unmount } from '../../linux/index.ts';
import { digestOf } from '../../oci/index.ts';
import { asObject, listTree } from './listing.ts';
import { type DriverUnderTest, Rig } from './rig.ts';

const write =
  (name: string, content = name) =>
  (root: string) =>
    writeFileSync(join(root, name), content);

/** Making, showing, committing and removing snapshots. */
export function testLifecycle(under: DriverUnderTest): void {
  test('can run here and says what it stands on', async () => {
    await using rig = new Rig(under);
    assert.deepEqual(await rig.driver.probe(), { ok: true });
    const [first] = rig.driver.status();
    assert.equal(first?.[0], 'Backing Filesystem');
    assert.deepEqual(mountsBelow(rig.root), []);
    assert.deepEqual(existsSync(rig.snapshots) ? readdirSync(rig.snapshots) : [], []);
  });

  test('a snapshot on nothing is an empty folder, 0755, of root', async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('empty', undefined);
    assert.deepEqual(asObject(await rig.list('empty')), { '/': 'folder 755 0:0' });
  });

  test('a child shows exactly what its parent holds', async () => {
    await using rig = new Rig(under);
    let made = {};
    const base = await rig.commit(undefined, (root) => {
      writeFileSync(join(root, 'setuid'), 'x');
      chownSync(join(root, 'setuid'), 1, 2);
      chmodSync(join(root, 'setuid'), 0o4755);
      mkdirSync(join(root, 'private/deep'), { recursive: true, mode: 0o700 });
      chownSync(join(root, 'private'), 5, 6);
      chmodSync(root, 0o750);
      chownSync(root, 7, 8);
      made = asObject(listTree(root));
    });
    assert.deepEqual(rig.driver.info(base), { key: base, kind: 'committed', parent: undefined });
    assert.deepEqual(asObject(await rig.list(base)), made);
    await rig.driver.prepare('child', base);
    assert.deepEqual(asObject(await rig.list('child')), made);
    assert.deepEqual(rig.driver.info('child'), { key: 'child', kind: 'active', parent: base });
  });

  test('a write in one child is seen neither by its sibling nor by the parent', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('file', 'base'));
    await rig.active('one', base, write('file', 'one'));
    await rig.driver.prepare('two', base);
    const read = (root: string): string => readFileSync(join(root, 'file'), 'utf8');
    assert.equal(await rig.within('one', read), 'one');
    assert.equal(await rig.within('two', read), 'base');
    assert.equal(await rig.within(base, read), 'base');
  });

  test('a committed snapshot cannot be written to', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('file'));
    const top = await rig.commit(base, write('other'));
    for (const key of [base, top]) {
      await rig.within(key, (root) => {
        assert.throws(() => writeFileSync(join(root, 'file'), ''), { code: 'EROFS' });
        assert.throws(() => mkdirSync(join(root, 'new')), { code: 'EROFS' });
      });
    }
  });

  test('an active snapshot can be shown read-only, and writable again to another user', async () => {
    await using rig = new Rig(under);
    await rig.active('box', await rig.commit(undefined, write('file')), write('mine'));
    const root = await rig.driver.mount('box', { readOnly: true });
    assert.throws(() => write('new')(root), { code: 'EROFS' });
    assert.equal(await rig.driver.mount('box'), root);
    write('new')(root);
    await rig.driver.unmount('box');
    await rig.driver.unmount('box');
  });

  test('a mount stays until its last user has left', async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('box', await rig.commit(undefined, write('file')));
    const root = await rig.driver.mount('box');
    assert.equal(await rig.driver.mount('box'), root);
    await rig.driver.unmount('box');
    assert.ok(existsSync(join(root, 'file')));
    await rig.driver.unmount('box');
    assert.ok(!existsSync(root));
    await rig.driver.unmount('box');
    await rig.driver.unmount('never seen');
    assert.deepEqual(mountsBelow(rig.root), []);
  });

  test('a mount that an administrator took away is made again', async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('box', await rig.commit(undefined, write('file')));
    const root = await rig.driver.mount('box');
    assert.ok(unmount(root));
    assert.ok(existsSync(join(await rig.driver.mount('box'), 'file')));
    await rig.driver.unmount('box');
  });

  test('an open file keeps working after its snapshot is unmounted and removed', async () => {
    await using rig = new Rig(under);
    await rig.active('box', await rig.commit(undefined, write('file')), write('mine', 'kept'));
    const root = await rig.driver.mount('box');
    const fd = await import('node:fs/promises').then(({ open }) => open(join(root, 'mine')));
    await rig.driver.unmount('box');
    await rig.driver.remove('box');
    assert.equal((await fd.readFile()).toString(), 'kept');
    await fd.close();
    assert.ok(!rig.driver.has('box'));
  });

  test('names are taken once', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('file'));
    await rig.driver.prepare('box', base);
    await assert.rejects(rig.driver.prepare('box', base), { kind: 'conflict', code: 'SNAPSHOT_EXISTS' });
    await assert.rejects(rig.driver.prepare(base, undefined), { kind: 'conflict' });
    const both = await Promise.allSettled([rig.driver.prepare('x', base), rig.driver.prepare('x', base)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  test('needs a parent that is committed and there', async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('active', undefined);
    const missing = digestOf('missing');
    await assert.rejects(rig.driver.prepare('box', missing), { kind: 'not-found', subject: missing });
    await assert.rejects(rig.driver.prepare('box', 'active' as never), { kind: 'not-found' });
    assert.deepEqual(
      [...rig.driver.list()].map(({ key }) => key),
      ['active'],
    );
    await assert.rejects(rig.driver.mount('nobody'), { kind: 'not-found' });
    await assert.rejects(rig.driver.usage('nobody'), { kind: 'not-found' });
  });

  test('a size limit it cannot keep is refused', {
    skip: under.keepsSizes === true && 'it keeps every one',
  }, async () => {
    await using rig = new Rig(under);
    await assert.rejects(
      rig.driver.prepare('box', undefined, { size: 1 << 20 }),
      (error: { kind?: string }) =>
        // A volume can be of any size but smaller than its parent's.
        ['not-implemented', 'invalid'].includes(error.kind ?? ''),
    );
    assert.ok(!rig.driver.has('box'));
  });

  test('committing moves the snapshot under its new name', async () => {
    await using rig = new Rig(under);
    await rig.active('step', undefined, write('file'));
    const chain = digestOf('one');
    await rig.driver.commit('step', chain);
    assert.ok(!rig.driver.has('step'));
    assert.equal(rig.driver.info(chain)?.kind, 'committed');
    await assert.rejects(rig.driver.commit(chain, digestOf('two')), { kind: 'conflict' });
    await assert.rejects(rig.driver.commit('step', digestOf('two')), { kind: 'not-found' });
    await rig.active('again', undefined, write('file'));
    await rig.driver.commit('again', chain);
    assert.deepEqual(
      [...rig.driver.list()].map(({ key }) => key),
      [chain],
    );
  });

  test('a mounted snapshot is neither committed nor removed', async () => {
    await using rig = new Rig(under);
    await rig.driver.prepare('box', undefined);
    await rig.driver.mount('box');
    await assert.rejects(rig.driver.commit('box', digestOf('x')), {
      kind: 'conflict',
      code: 'SNAPSHOT_MOUNTED',
    });
    await assert.rejects(rig.driver.remove('box'), { kind: 'conflict', code: 'SNAPSHOT_MOUNTED' });
    await rig.driver.unmount('box');
    await rig.driver.remove('box');
    assert.ok(!rig.driver.has('box'));
  });

  test('what others stand on stays; from the top down all can go', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('one'));
    const middle = await rig.commit(base, write('two'));
    await rig.driver.prepare('box', middle);
    for (const key of [base, middle]) {
      await assert.rejects(rig.driver.remove(key), { kind: 'conflict', code: 'SNAPSHOT_HAS_CHILDREN' });
    }
    for (const key of ['box', middle, base, 'never there']) await rig.driver.remove(key);
    assert.deepEqual([...rig.driver.list()], []);
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), []);
  });

  test('removing a parent and preparing on it at once ends with both or neither', async () => {
    await using rig = new Rig(under);
    for (let i = 0; i < 5; i++) {
      const base = await rig.commit(undefined, write('file'), `base ${i}`);
      const [prepared, removed] = await Promise.allSettled([
        rig.driver.prepare(`box ${i}`, base),
        rig.driver.remove(base),
      ]);
      assert.notEqual(prepared.status, removed.status);
      assert.equal(rig.driver.has(base), prepared.status === 'fulfilled');
    }
  });

  test('remembers everything after a restart, mounts included', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('file'));
    await rig.active('box', base, write('mine'));
    const before = [...rig.driver.list()].sort((a, b) => a.key.localeCompare(b.key));
    const root = await rig.driver.mount('box');
    await rig.reopen();
    assert.deepEqual(await rig.driver.recover(), []);
    assert.deepEqual(
      [...rig.driver.list()].sort((a, b) => a.key.localeCompare(b.key)),
      before,
    );
    assert.equal(readFileSync(join(root, 'mine'), 'utf8'), 'mine');
    const mounts = mountsBelow(rig.root).length;
    assert.equal(await rig.driver.mount('box'), root);
    assert.equal(mountsBelow(rig.root).length, mounts);
    await rig.reopen();
    await rig.driver.unmount('box');
    assert.deepEqual(mountsBelow(rig.root), []);
  });

  test('recovery ends the views of committed snapshots that a dead process left', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('one'));
    const top = await rig.commit(base, write('two'));
    await rig.driver.mount(top);
    await rig.reopen();
    const [line, ...rest] = await rig.driver.recover();
    assert.match(line ?? '', /^unmounted .* which nobody uses$/);
    assert.deepEqual(rest, []);
    assert.deepEqual(mountsBelow(rig.root), []);
    assert.deepEqual(await rig.driver.recover(), []);
  });

  test('other users cannot reach the files of layers', async () => {
    await using rig = new Rig(under);
    await rig.commit(undefined, (root) => {
      writeFileSync(join(root, 'setuid'), '');
      chmodSync(join(root, 'setuid'), 0o4755);
      chmodSync(root, 0o777);
    });
    await rig.driver.prepare('box', undefined);
    assert.equal(statSync(rig.folder).mode & 0o007, 0);
    for (const name of readdirSync(rig.folder)) {
      assert.equal(statSync(join(rig.folder, name)).mode & 0o007, 0, name);
    }
  });

  test('fifty lives of a snapshot leave no mount and no folder', async () => {
    await using rig = new Rig(under);
    const base = await rig.commit(undefined, write('file'));
    const before = readdirSync(rig.folder).sort();
    for (let i = 0; i < 50; i++) {
      await rig.active('box', base, write('mine'));
      await rig.driver.remove('box');
    }
    await rig.driver.close();
    assert.deepEqual(mountsBelow(rig.root), []);
    assert.deepEqual(readdirSync(rig.folder).sort(), before);
    assert.deepEqual(rig.leftovers(), []);
  });

  test('counts what a snapshot takes itself, hard links once', async () => {
    await using rig = new Rig(under);
    const { linkSync } = await import('node:fs');
    await rig.active('box', undefined, (root) => {
      writeFileSync(join(root, 'five'), '12345');
      linkSync(join(root, 'five'), join(root, 'again'));
      mkdirSync(join(root, 'folder'));
    });
    const usage = await rig.driver.usage('box');
    assert.equal(usage.contentBytes, 5);
    assert.equal(usage.inodes, 3);
    assert.ok(usage.bytes >= 4096 && usage.bytes % 512 === 0, String(usage.bytes));
  });

  test('removes trees that are deeper than a path can be long', async () => {
    await using rig = new Rig(under);
    const { inFolder } = await import('../../linux/index.ts');
    await rig.active('box', undefined, (root) => {
      const nest = (folder: string, left: number): void => {
        inFolder(folder, () => {
          mkdirSync('d'.repeat(200));
          if (left > 0) nest('d'.repeat(200), left - 1);
          else writeFileSync('bottom', '');
        });
      };
      nest(root, 40);
    });
    await rig.driver.remove('box');
    await rig.driver.close();
    assert.deepEqual(rig.leftovers(), []);
  });
}
