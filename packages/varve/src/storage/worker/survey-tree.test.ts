import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mount, unmount } from '../../linux/index.ts';
import { surveyTree } from './survey-tree.ts';

const plan = { depths: { trees: 2 }, parts: ['index'], places: ['trees/a/apart'] };

test('every inode is in one place, and the sum is what du says', () => {
  const root = mkdtempSync('/var/tmp/varve-survey-');
  try {
    for (const name of ['trees/a/deep/er', 'trees/b', 'trees/a/apart', 'shown'])
      mkdirSync(join(root, name), { recursive: true });
    const write = (name: string, bytes: number): void =>
      writeFileSync(join(root, name), Buffer.alloc(bytes, 1));
    write('trees/a/deep/er/file', 100_000);
    write('trees/a/index', 9000);
    write('trees/a/apart/file', 5000);
    write('trees/b/both', 20_000);
    linkSync(join(root, 'trees/b/both'), join(root, 'trees/a/both'));
    linkSync(join(root, 'trees/b/both'), join(root, 'trees/b/again'));
    write('trees/b/sparse', 0);
    truncateSync(join(root, 'trees/b/sparse'), 10 << 20);
    symlinkSync('/etc', join(root, 'trees/b/link'));
    mount('none', join(root, 'shown'), 'tmpfs', 0, '');
    writeFileSync(join(root, 'shown/of another file system'), Buffer.alloc(50_000));
    const { places, linked } = surveyTree(root, plan);
    const sum = [...places.values(), ...linked].reduce((total, { bytes }) => total + bytes, 0);
    const du = execFileSync('du', ['-sx', '--block-size=1', root], { encoding: 'utf8' });
    assert.equal(sum, Number(du.split('\t')[0]));
    assert.deepEqual([...places.keys()].sort(), [
      '',
      'trees',
      'trees/a',
      'trees/a/apart',
      'trees/a/index',
      'trees/b',
    ]);
    assert.deepEqual(
      linked.map(({ places: owners, inodes }) => [owners, inodes]),
      [[['trees/a', 'trees/b'], 1]],
    );
    assert.ok((places.get('trees/b')?.bytes ?? Infinity) < 1 << 20, 'holes take nothing');
  } finally {
    unmount(join(root, 'shown'), { detach: true });
    rmSync(root, { recursive: true });
  }
});
