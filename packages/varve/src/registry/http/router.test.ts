import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findRoute } from './router.ts';

const digest = `sha256:${'a'.repeat(64)}`;

const cases: readonly (readonly [string, string | undefined, string?, string?])[] = [
  ['/v2/', 'base'],
  ['/v2', 'base'],
  ['/v2/_catalog', 'catalog'],
  ['/v2/app/tags/list', 'tags', 'app', ''],
  ['/v2/a/b/c/manifests/latest', 'manifest', 'a/b/c', 'latest'],
  [`/v2/a/blobs/${digest}`, 'blob', 'a', digest],
  [`/v2/a/blobs/sha256%3A${'a'.repeat(64)}`, 'blob', 'a', digest],
  ['/v2/a/blobs/uploads/', 'uploads', 'a', ''],
  ['/v2/a/blobs/uploads', 'uploads', 'a', 'uploads'],
  ['/v2/a/blobs/uploads/some-id', 'upload', 'a', 'some-id'],
  [`/v2/a/referrers/${digest}`, 'referrers', 'a', digest],
  // names whose parts are words of the API
  ['/v2/manifests/manifests/manifests', 'manifest', 'manifests', 'manifests'],
  ['/v2/a/blobs/uploads/manifests/x', 'manifest', 'a/blobs/uploads', 'x'],
  ['/v2/a/tags/list/tags/list', 'tags', 'a/tags/list', ''],
  // an encoded slash does not make a new part
  ['/v2/a/blobs/sha256:..%2f..%2fetc', 'blob', 'a', 'sha256:../../etc'],
  ['/v2/a/manifests/%zz', 'manifest', 'a', '%zz'],
  ['/', 'page'],
  ['/ui', 'page'],
  ['/ui/r/a', 'page'],
  ['/uix', undefined],
  ['/v1/', undefined],
  ['/v2/app', undefined],
  ['/v2/app/other/thing', undefined],
  ['/v2x/app/tags/list', undefined],
];

for (const [path, kind, name, reference] of cases) {
  test(`reads ${path} as ${kind ?? 'nothing'}`, () => {
    const route = findRoute(path);
    assert.equal(route?.kind, kind);
    if (name !== undefined) assert.deepEqual([route?.name, route?.reference], [name, reference]);
  });
}
