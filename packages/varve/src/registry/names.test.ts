import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isRepositoryName, isTag, parseManifestReference } from './names.ts';

test('takes the names of the spec', () => {
  for (const name of ['a', 'library/app', 'a/b/c/d', 'a.b', 'a__b', 'a---b', '0/1', 'a'.repeat(255)]) {
    assert.equal(isRepositoryName(name), true, name);
  }
});

test('refuses names outside the grammar', () => {
  const names = [
    '',
    'A',
    'a/',
    '/a',
    'a//b',
    '..',
    'a/../b',
    '.a',
    'a.',
    'a..b',
    'a___b',
    'a b',
    'é',
    'a\n',
    'a:b',
  ];
  for (const name of [...names, 'a'.repeat(256)]) assert.equal(isRepositoryName(name), false, name);
});

test('refuses a hostile name in linear time', () => {
  const startedAt = performance.now();
  assert.equal(isRepositoryName(`${'a-'.repeat(127)}!`), false);
  assert.equal(isRepositoryName('a-'.repeat(500_000)), false);
  // A matcher that goes back over what it read would take hours.
  assert.ok(performance.now() - startedAt < 10_000);
});

test('tells tags from digests', () => {
  const digest = `sha512:${'0'.repeat(128)}`;
  assert.deepEqual(parseManifestReference('v1.0'), { tag: 'v1.0' });
  assert.deepEqual(parseManifestReference(digest), { digest });
  assert.throws(() => parseManifestReference('sha256:zz'), { code: 'DIGEST_INVALID' });
  assert.throws(() => parseManifestReference('sha256:../../etc/passwd'), { code: 'DIGEST_INVALID' });
  assert.throws(() => parseManifestReference(digest.toUpperCase()), { code: 'DIGEST_INVALID' });
  for (const tag of ['', '.a', '-a', 'a'.repeat(129), 'a/b', 'ä']) {
    assert.equal(isTag(tag), false, tag);
    assert.throws(() => parseManifestReference(tag), { code: 'TAG_INVALID' });
  }
});
