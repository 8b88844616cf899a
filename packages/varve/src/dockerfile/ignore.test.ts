import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IgnoreMatcher, PathPattern, readIgnoreFile } from './index.ts';

const table: readonly (readonly [patterns: readonly string[], path: string, ignored: boolean])[] = [
  [['**'], 'file', true],
  [['**'], 'dir/file', true],
  [['**/'], 'dir/file', true],
  [['**/**'], 'dir/file', true],
  [['dir/**'], 'dir', false],
  [['dir/**'], 'dir/file', true],
  [['dir/**'], 'dir/a/b', true],
  [['**/file'], 'file', true],
  [['**/file'], 'a/b/file', true],
  [['**/file'], 'a/bfile', false],
  [['**file'], 'a/bfile', true],
  [['**/dir2/*'], 'dir/dir2/file', true],
  [['**/dir2/*'], 'dir/dir2/dir2/file', true],
  [['a/**/b'], 'a/b', true],
  [['a/**/b'], 'a/x/y/b', true],
  [['a/**/b'], 'ab', false],
  [['*.go'], 'x.go', true],
  [['*.go'], 'a/x.go', false],
  [['a/*.go'], 'a/b.go/c', true],
  [['a?c'], 'abc', true],
  [['a?c'], 'a/c', false],
  [['[a-c]x'], 'bx', true],
  [['[^a-c]x'], 'bx', false],
  [['[^a-c]x'], 'dx', true],
  [['a\\*b'], 'a*b', true],
  [['a\\*b'], 'axb', false],
  [['a.b'], 'axb', false],
  [['(a|b)+{c}$'], '(a|b)+{c}$', true],
  [['dir'], 'dir/deep/file', true],
  [['dir'], 'dir2', false],
  [['*', '!keep'], 'keep', false],
  [['*', '!keep'], 'keep/inside', false],
  [['*', '!keep', 'keep/not'], 'keep/not', true],
  [['a', '!a/b', 'a/b/c'], 'a/b/x', false],
  [['a', '!a/b', 'a/b/c'], 'a/b/c', true],
  [['a', '!a/b', 'a/b/c'], 'a/x', true],
  [['!a', 'a'], 'a', true],
  [['**/*.txt', '!**/keep.txt'], 'x/keep.txt', false],
  [['./a/../b/'], 'b', true],
  [[' spaced '], 'spaced', true],
  [['CASE'], 'case', false],
];

for (const [patterns, path, ignored] of table) {
  test(`${patterns.join(' ')} ${ignored ? 'ignores' : 'keeps'} ${path}`, () => {
    assert.equal(new IgnoreMatcher(patterns).ignores(path), ignored);
  });
}

for (const pattern of ['[', '[]', '[a', '[a-', '[-x]', 'a\\', '!']) {
  test(`refuses the pattern ${pattern}`, () => {
    assert.throws(() => new IgnoreMatcher([pattern]), { code: 'PATTERN_INVALID' });
  });
}

test('reads comments, blanks, leading slashes and exceptions of an ignore file', () => {
  assert.deepEqual(readIgnoreFile('\uFEFF# no\n\n /a/ \r\n! b/./c\n #not-a-comment\n'), [
    'a',
    '!b/c',
    '#not-a-comment',
  ]);
});

test('walks an ignored folder only when something in it may be kept', () => {
  assert.equal(new IgnoreMatcher(['a', '!a/b']).mayKeepInside('a'), true);
  assert.equal(new IgnoreMatcher(['a', '!b/c']).mayKeepInside('a'), false);
  assert.equal(new IgnoreMatcher(['a', '!**/keep']).mayKeepInside('a'), true);
});

test('answers in linear time for a hostile pattern', () => {
  const pattern = new PathPattern('**/*a'.repeat(20), { doubleStar: true });
  assert.equal(pattern.matches(`${'a'.repeat(2000)}b`), false);
});

test('a path matches itself when its special characters are escaped', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (path) => {
      const escaped = path.replace(/[*?[\]\\!]/g, '\\$&');
      assert.ok(new PathPattern(escaped, { doubleStar: true }).matches(path));
    }),
  );
});
