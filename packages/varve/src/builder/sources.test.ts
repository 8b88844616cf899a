import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { raw } from './raw-path.ts';
import { resolveSources, type SourceRoot } from './sources.ts';
import { TestFolder } from './testing/folder.ts';
import { PathFilter } from './tree.ts';

function rootOf(folder: TestFolder, ignore: readonly string[] = []): SourceRoot {
  const root = folder.write({
    'a.txt': '',
    'b.txt': '',
    'src/x.go': '',
    'src/sub/y.go': '',
    'no/secret': '',
  });
  symlinkSync('/src/x.go', join(root, 'link'));
  symlinkSync('../../../../../../etc/passwd', join(root, 'escape'));
  symlinkSync('no/secret', join(root, 'to-ignored'));
  return { folder: raw(root), filter: new PathFilter(ignore), context: true };
}

const paths = (root: SourceRoot, ...sources: string[]): string[] =>
  resolveSources(root, sources).map(({ path, name }) => `${path}:${name}`);

test('finds names, folders and patterns', () => {
  using folder = new TestFolder();
  const root = rootOf(folder);
  assert.deepEqual(paths(root, 'a.txt', '/src/'), ['a.txt:a.txt', 'src:src']);
  assert.deepEqual(paths(root, '*.txt'), ['a.txt:a.txt', 'b.txt:b.txt']);
  assert.deepEqual(paths(root, 's*/*.go'), ['src/x.go:x.go']);
  assert.deepEqual(paths(root, 'src/[x-z].g?'), ['src/x.go:x.go']);
  assert.deepEqual(paths(root, '.'), [':']);
});

test('follows a link inside the root and keeps its name', () => {
  using folder = new TestFolder();
  assert.deepEqual(paths(rootOf(folder), 'link'), ['src/x.go:link']);
});

test('never leaves the root', () => {
  using folder = new TestFolder();
  const root = rootOf(folder);
  assert.throws(() => resolveSources(root, ['escape']), {
    message: 'file not found in build context or excluded by .dockerignore: stat escape: file does not exist',
  });
  assert.throws(() => resolveSources(root, ['src/../../x']), {
    message: 'forbidden path outside the build context: src/../../x ()',
  });
});

test('does not find what is ignored, by name, by pattern or through a link', () => {
  using folder = new TestFolder();
  const root = rootOf(folder, ['b.txt', 'no']);
  assert.deepEqual(paths(root, '*.txt'), ['a.txt:a.txt']);
  for (const source of ['b.txt', 'no', 'no/secret', 'to-ignored']) {
    assert.throws(() => resolveSources(root, [source]), { code: 'COPY_SOURCE_MISSING' }, source);
  }
  assert.throws(() => resolveSources(root, ['*.md']), { message: 'no source files were specified' });
});

test('tells the folders behind the pivot of --parents', () => {
  using folder = new TestFolder();
  const root = rootOf(folder);
  assert.equal(resolveSources(root, ['src/sub/y.go'])[0]?.parents, 'src/sub');
  assert.equal(resolveSources(root, ['src/./sub/y.go'])[0]?.parents, 'sub');
});
