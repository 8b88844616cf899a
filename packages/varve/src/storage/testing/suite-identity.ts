import assert from 'node:assert/strict';
import {
  appendFileSync,
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { check, utimensat } from '../../linux/index.ts';
import { type DriverUnderTest, Rig } from './rig.ts';

function makeBase(root: string): void {
  mkdirSync(join(root, 'dir/sub'), { recursive: true });
  for (const name of ['file', 'dir/a']) writeFileSync(join(root, name), name);
}

/** What stays the same of a file while it changes, and what must not be taken for the same. */
export function testIdentity(under: DriverUnderTest): void {
  test('an open folder is the same folder after something in it was written', async () => {
    await using rig = new Rig(under);
    await rig.active('box', await rig.commit(undefined, makeBase), (root) => {
      const fd = openSync(join(root, 'dir'), 'r');
      const before = fstatSync(fd).ino;
      appendFileSync(join(root, 'dir/a'), 'more');
      mkdirSync(join(root, 'dir/new'));
      assert.equal(statSync(join(root, 'dir')).ino, before);
      assert.equal(fstatSync(fd).ino, before);
      closeSync(fd);
    });
  });

  test('a file open for writing has one inode number from its first write to its last', async () => {
    await using rig = new Rig(under);
    await rig.active('box', await rig.commit(undefined, makeBase), (root) => {
      const fd = openSync(join(root, 'file'), 'r+');
      const { ino } = fstatSync(fd);
      appendFileSync(fd, 'more');
      assert.equal(fstatSync(fd).ino, ino);
      assert.equal(statSync(join(root, 'file')).ino, ino);
      closeSync(fd);
    });
  });

  test('a process sees the new name of the folder it works in', async () => {
    await using rig = new Rig(under);
    await rig.active('box', await rig.commit(undefined, makeBase), (root) => {
      const before = process.cwd();
      mkdirSync(join(root, 'dir/mine'));
      process.chdir(join(root, 'dir/mine'));
      try {
        renameSync(join(root, 'dir/mine'), join(root, 'dir/renamed'));
        assert.equal(readlinkSync('/proc/self/cwd'), join(root, 'dir/renamed'));
        writeFileSync('here', '');
        assert.ok(statSync(join(root, 'dir/renamed/here')).isFile());
      } finally {
        process.chdir(before);
      }
    });
  });

  test('a change in the second in which the file was made is found, also of equal size', async () => {
    await using rig = new Rig(under);
    const second = 1_600_000_000;
    const set = (path: string, nanoseconds: number): void => {
      const time = { seconds: second, nanoseconds };
      check(utimensat(-100, path, time, time), 'utimensat', path);
    };
    const base = await rig.commit(undefined, (root) => {
      makeBase(root);
      for (const name of ['file', 'dir/a']) set(join(root, name), name === 'file' ? 0 : 1000);
      for (const name of ['dir', 'dir/sub']) utimesSync(join(root, name), second, second);
    });
    await rig.active('box', base, (root) => {
      // To the nanosecond the same where a tool had set the time before; a nanosecond later elsewhere.
      writeFileSync(join(root, 'file'), 'FILE');
      set(join(root, 'file'), 0);
      writeFileSync(join(root, 'dir/a'), 'DIR/A');
      set(join(root, 'dir/a'), 1001);
    });
    assert.ok((await rig.changes('box')).includes('C /dir/a'));
    const shown = await rig.list('box');
    const { chain } = await rig.reapply('box');
    const listing = await rig.list(chain);
    for (const path of ['/file', '/dir/a']) assert.equal(listing.get(path), shown.get(path));
  });
}
