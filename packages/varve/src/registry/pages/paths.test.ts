import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '../../oci/index.ts';
import { blobLink, manifestLink, namespaceLink, repositoryLink, tagLink } from './links.ts';
import { type PagePath, parsePagePath } from './paths.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const links: readonly (readonly [string, PagePath])[] = [
  ['/ui/', { kind: 'home' }],
  [namespaceLink('a/b'), { kind: 'namespace', name: 'a/b' }],
  [repositoryLink('a/b'), { kind: 'repository', repository: 'a/b' }],
  // names whose parts are words of the paths
  [repositoryLink('a/tags/b'), { kind: 'repository', repository: 'a/tags/b' }],
  [repositoryLink('tags'), { kind: 'repository', repository: 'tags' }],
  [tagLink('a/tags/b', 'v1'), { kind: 'tag', repository: 'a/tags/b', tag: 'v1' }],
  [manifestLink('a/manifests', digest), { kind: 'manifest', repository: 'a/manifests', digest }],
  [manifestLink('a', digest).replace(':', '%3A'), { kind: 'manifest', repository: 'a', digest }],
  [blobLink('a/b', digest), { kind: 'blob', repository: 'a/b', digest }],
];

for (const [link, path] of links) {
  test(`reads ${link.slice(0, 40)} as a ${path.kind}`, () => {
    assert.deepEqual(parsePagePath(link.slice('/ui/'.length)), path);
  });
}

test('what is no name, tag or digest has no page', () => {
  for (const path of [
    'x',
    'r/',
    'r/A',
    'r/../etc',
    'r/a%2fb',
    'r/a/manifests/X',
    'n/',
    'n/a//b',
    'r/a/tags/%00',
  ]) {
    assert.equal(parsePagePath(path), undefined, path);
  }
});
