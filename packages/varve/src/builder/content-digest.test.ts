import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { State } from '../state/index.ts';
import { digestTrees, type TreeDigest } from './content-digest.ts';
import { FileHashes } from './file-hashes.ts';
import { raw } from './raw-path.ts';
import { builderSchema } from './schema.ts';
import { TestFolder } from './testing/folder.ts';
import { PathFilter } from './tree.ts';

function openHashes(): { readonly state: State; readonly hashes: FileHashes } {
  const state = new State(':memory:');
  state.migrate(builderSchema);
  return { state, hashes: new FileHashes(state) };
}

async function digest(root: string, owners = false): Promise<TreeDigest> {
  const { state, hashes } = openHashes();
  using _state = state;
  return await digestTrees(raw(root), ['top'], { filter: PathFilter.everything, hashes, owners });
}

const changes: Readonly<Record<string, (top: string) => void>> = {
  content: (top) => writeFileSync(join(top, 'file'), 'other'),
  mode: (top) => chmodSync(join(top, 'file'), 0o600),
  name: (top) => renameSync(join(top, 'file'), join(top, 'elif')),
  'a new file': (top) => writeFileSync(join(top, 'new'), ''),
  'a link': (top) => {
    rmSync(join(top, 'link'));
    symlinkSync('elsewhere', join(top, 'link'));
  },
  'an attribute': (top) => void execFileSync('setfattr', ['-n', 'user.a', '-v', 'b', join(top, 'file')]),
};

function tree(folder: TestFolder): string {
  const root = folder.write({ 'top/file': 'some', 'top/sub/file': 'more' });
  symlinkSync('there', join(root, 'top/link'));
  return root;
}

for (const [what, change] of Object.entries(changes)) {
  test(`${what} changes the digest`, async () => {
    using folder = new TestFolder();
    const root = tree(folder);
    const before = await digest(root);
    change(join(root, 'top'));
    assert.notEqual((await digest(root)).digest, before.digest);
  });
}

test('times, owners and the place of a tree do not change the digest', async () => {
  using folder = new TestFolder();
  using other = new TestFolder();
  const root = tree(folder);
  const before = await digest(root);
  utimesSync(join(root, 'top/file'), 1, 1);
  chownSync(join(root, 'top/file'), 5, 5);
  assert.deepEqual(await digest(root), before);
  assert.deepEqual(await digest(tree(other)), before);
  const owned = await digest(root, true);
  chownSync(join(root, 'top/file'), 6, 6);
  assert.notEqual((await digest(root, true)).digest, owned.digest);
});

test('names the files it read', async () => {
  using folder = new TestFolder();
  const { files } = await digest(tree(folder));
  assert.deepEqual(Object.keys(files), ['top', 'top/file', 'top/link', 'top/sub', 'top/sub/file']);
});

test('a hash is remembered for a file at rest only, and not after a change under a kept mtime', async () => {
  using folder = new TestFolder();
  const path = join(folder.write({ file: 'one' }), 'file');
  const { state, hashes } = openHashes();
  using _state = state;
  const stored = (): number =>
    Number(state.prepare('SELECT count(*) AS n FROM builder_file_hashes').get()?.['n']);
  const young = await hashes.hash(raw(path), statSync(path, { bigint: true }));
  hashes.save();
  assert.equal(stored(), 0);
  const stat = statSync(path, { bigint: true });
  // As it will be in a while: a file whose last change is long ago.
  const atRest = Object.assign(Object.create(Object.getPrototypeOf(stat) as object), stat, {
    ctimeMs: 0n,
  }) as typeof stat;
  assert.equal(await hashes.hash(raw(path), atRest), young);
  hashes.save();
  assert.equal(stored(), 1);
  writeFileSync(path, 'two');
  utimesSync(path, Number(stat.atimeMs) / 1000, Number(stat.mtimeMs) / 1000);
  assert.notEqual(await hashes.hash(raw(path), statSync(path, { bigint: true })), young);
});
