import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canonicalReference,
  type Digest,
  familiarName,
  familiarReference,
  parseReference,
  type Reference,
  withDefaultTag,
  withTag,
} from './index.ts';

const hex = '0123456789abcdef'.repeat(4);

test('reads short names as docker.io ones and shows them short again', () => {
  const table: readonly (readonly [text: string, canonical: string, familiar: string])[] = [
    ['app', 'docker.io/library/app', 'app'],
    ['app:1', 'docker.io/library/app:1', 'app:1'],
    ['user/app', 'docker.io/user/app', 'user/app'],
    ['docker.io/app', 'docker.io/library/app', 'app'],
    ['index.docker.io/user/app', 'docker.io/user/app', 'user/app'],
    ['library/app', 'docker.io/library/app', 'app'],
    ['library/a/b', 'docker.io/library/a/b', 'library/a/b'],
    ['localhost/app', 'localhost/app', 'localhost/app'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['127.0.0.1:5000/a/b', '127.0.0.1:5000/a/b', '127.0.0.1:5000/a/b'],
    ['[::1]:5000/app', '[::1]:5000/app', '[::1]:5000/app'],
    ['Host/app', 'Host/app', 'Host/app'],
    ['a__b/c--d/e.f', 'docker.io/a__b/c--d/e.f', 'a__b/c--d/e.f'],
    [`app:1@sha256:${hex}`, `docker.io/library/app:1@sha256:${hex}`, `app:1@sha256:${hex}`],
    // The short form would be read as a host, so it is not shortened.
    ['docker.io/foo.bar/baz', 'docker.io/foo.bar/baz', 'docker.io/foo.bar/baz'],
  ];
  for (const [text, canonical, familiar] of table) {
    const reference = parseReference(text);
    assert.equal(canonicalReference(reference), canonical, text);
    assert.equal(familiarReference(reference), familiar, text);
  }
});

test("refuses what is no reference, in Docker's words", () => {
  const invalid = 'invalid reference format';
  const table: readonly (readonly [text: string, message: string])[] = [
    ['', invalid],
    [' ', invalid],
    ['app:', invalid],
    ['app@', invalid],
    ['a//b', invalid],
    ['/app', invalid],
    ['app/', invalid],
    ['-app', invalid],
    ['a/../b', invalid],
    ['app:latest/../..', invalid],
    ['a___b', invalid],
    ['app\n', invalid],
    ['äpp', invalid],
    [`app:${'t'.repeat(129)}`, invalid],
    ['foo.bar_/x', invalid],
    ['foo.com:80x/a', invalid],
    ['a'.repeat(10_000), invalid],
    ['app@sha256:../../etc/passwd', invalid],
    ['app@sha256:abc', invalid],
    ['UPPER', 'invalid reference format: repository name (library/UPPER) must be lowercase'],
    ['localhost:1/UP', 'invalid reference format: repository name (UP) must be lowercase'],
    [hex, `invalid repository name (${hex}), cannot specify 64-byte hexadecimal strings`],
    ['z'.repeat(250), 'repository name must not be more than 255 characters'],
    [`app@sha256:${'a'.repeat(40)}`, 'invalid checksum digest length'],
    [`app@sha256:${'A'.repeat(64)}`, 'invalid checksum digest format'],
    [`app@md5:${'a'.repeat(32)}`, 'unsupported digest algorithm'],
  ];
  for (const [text, message] of table) {
    assert.throws(
      () => parseReference(text),
      { kind: 'invalid', message },
      JSON.stringify(text.slice(0, 60)),
    );
  }
});

test('adds latest only to a bare name', () => {
  assert.equal(familiarReference(withDefaultTag(parseReference('app'))), 'app:latest');
  assert.equal(familiarReference(withDefaultTag(parseReference('app:1'))), 'app:1');
  const byDigest = parseReference(`app@sha256:${hex}`);
  assert.equal(withDefaultTag(byDigest), byDigest);
  assert.equal(familiarReference(withTag(byDigest, '2')), 'app:2');
  assert.throws(() => withTag(byDigest, '.bad'), { kind: 'invalid' });
});

const component = fc.stringMatching(/^[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
const host = fc.oneof(
  fc.constantFrom('docker.io', 'localhost', 'localhost:5000', '127.0.0.1:5000', '[::1]:443', 'Registry'),
  fc.stringMatching(/^[a-zA-Z0-9]{1,8}\.[a-z]{2,5}(:[0-9]{1,5})?$/),
);
const references: fc.Arbitrary<Reference> = fc
  .record({
    domain: host,
    path: fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/')),
    tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), { nil: undefined }),
    digest: fc.option(
      fc.stringMatching(/^[0-9a-f]{64}$/).map((text) => `sha256:${text}` as Digest),
      { nil: undefined },
    ),
  })
  .filter(({ domain }) => domain !== 'index.docker.io')
  .map(({ domain, path, tag, digest }) => ({
    domain,
    path: domain === 'docker.io' && !path.includes('/') ? `library/${path}` : path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  }));

test('both written forms of any reference parse back to it', () => {
  fc.assert(
    fc.property(references, (reference) => {
      assert.deepEqual(parseReference(canonicalReference(reference)), reference);
      assert.deepEqual(parseReference(familiarReference(reference)), reference);
      assert.ok(familiarName(reference).length <= canonicalReference(reference).length);
    }),
    { numRuns: 1000 },
  );
});

test('any text gives a reference that formats to itself, or an invalid error', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[a-zA-Z0-9./:@_-]{0,40}$/),
    fc.string({ unit: 'binary' }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      try {
        const reference = parseReference(text);
        assert.deepEqual(parseReference(canonicalReference(reference)), reference);
      } catch (error) {
        assert.equal((error as { kind?: string }).kind, 'invalid');
      }
    }),
    { numRuns: 2000 },
  );
});
