import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Descriptor, digestOf, mediaTypes } from '../oci/index.ts';
import { openAccess } from './auth/index.ts';
import {
  type Answer,
  encode,
  imageManifest,
  indexManifest,
  startTestRegistry,
  type TestClient,
} from './testing/index.ts';

/** Follows Link headers and gathers what `pick` finds in every page. */
async function pages<T>(
  client: TestClient,
  first: string,
  pick: (body: Answer) => readonly T[],
): Promise<T[][]> {
  const found: T[][] = [];
  for (let path: string | undefined = first; path; ) {
    const answer: Answer = await client.call('GET', path);
    assert.equal(answer.status, 200);
    found.push([...pick(answer)]);
    path = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers.link ?? ''))?.[1];
  }
  return found;
}

const tagsOf = (answer: Answer): string[] => (answer.json() as { tags: string[] }).tags;
const namesOf = (answer: Answer): string[] => (answer.json() as { repositories: string[] }).repositories;
const referrersOf = (answer: Answer): Descriptor[] =>
  (answer.json() as { manifests: Descriptor[] }).manifests;

async function pushTags(client: TestClient, repository: string, tags: readonly string[]): Promise<void> {
  for (const tag of tags) {
    const answer = await client.putManifest(repository, tag, indexManifest([]), mediaTypes.ociIndex);
    assert.equal(answer.status, 201);
  }
}

test('says that it is a registry', async (t) => {
  const registry = await startTestRegistry(t);
  for (const [method, path] of [
    ['GET', '/v2/'],
    ['HEAD', '/v2/'],
    ['GET', '/v2'],
  ] as const) {
    const answer = await registry.call(method, path);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
  }
});

test('lists tags by their bytes, whole and in pages', async (t) => {
  const registry = await startTestRegistry(t);
  await pushTags(registry, 'a/b', ['b', 'a', 'B', '10', '9', '_x', 'a.b']);
  const sorted = ['10', '9', 'B', '_x', 'a', 'a.b', 'b'];
  const all = await registry.call('GET', '/v2/a/b/tags/list');
  assert.deepEqual(all.json(), { name: 'a/b', tags: sorted });
  assert.equal(all.headers.link, undefined);
  assert.deepEqual(await pages(registry, '/v2/a/b/tags/list?n=3', tagsOf), [
    sorted.slice(0, 3),
    sorted.slice(3, 6),
    ['b'],
  ]);
  assert.deepEqual(await pages(registry, '/v2/a/b/tags/list?n=7', tagsOf), [sorted]);
  assert.deepEqual(await pages(registry, '/v2/a/b/tags/list?last=_x', tagsOf), [['a', 'a.b', 'b']]);
  assert.deepEqual(await pages(registry, '/v2/a/b/tags/list?n=1&last=a.b', tagsOf), [['b']]);
  assert.deepEqual(await pages(registry, '/v2/a/b/tags/list?n=0', tagsOf), [[]]);
  assert.deepEqual(await pages(registry, '/v2/a/b/tags/list?last=zzz', tagsOf), [[]]);
});

test('bounds a page whatever n says, and refuses an n that is no number', async (t) => {
  const registry = await startTestRegistry(t);
  await pushTags(registry, 'a', ['x']);
  for (const path of ['/v2/a/tags/list', '/v2/_catalog']) {
    assert.equal((await registry.call('GET', `${path}?n=2147483647`)).status, 200);
    for (const n of ['-1', '1.5', '1e9', 'x', '99999999999999999999', '%00']) {
      const answer = await registry.call('GET', `${path}?n=${n}`);
      assert.deepEqual([answer.status, answer.codes()], [400, ['PAGINATION_NUMBER_INVALID']], n);
    }
  }
});

test('does not list the tags of a repository that is not', async (t) => {
  const registry = await startTestRegistry(t);
  const answer = await registry.call('GET', '/v2/none/tags/list');
  assert.deepEqual([answer.status, answer.codes()], [404, ['NAME_UNKNOWN']]);
});

test('lists repositories in pages', async (t) => {
  const registry = await startTestRegistry(t);
  for (const name of ['b', 'a/c', 'a']) await pushTags(registry, name, ['t']);
  assert.deepEqual(await pages(registry, '/v2/_catalog', namesOf), [['a', 'a/c', 'b']]);
  assert.deepEqual(await pages(registry, '/v2/_catalog?n=2', namesOf), [['a', 'a/c'], ['b']]);
  assert.deepEqual(await pages(registry, '/v2/_catalog?last=a', namesOf), [['a/c', 'b']]);
});

test('lists only the repositories that the client may pull', async (t) => {
  const registry = await startTestRegistry(
    t,
    {},
    {
      access: { ...openAccess, sees: (_, name) => !name.startsWith('secret') },
    },
  );
  for (const name of ['open', 'secret', 'secret/b', 'zoo']) await pushTags(registry, name, ['t']);
  assert.deepEqual(await pages(registry, '/v2/_catalog', namesOf), [['open', 'zoo']]);
  assert.deepEqual(await pages(registry, '/v2/_catalog?n=1', namesOf), [['open'], ['zoo']]);
});

test('lists the referrers of a manifest with their types and annotations', async (t) => {
  const registry = await startTestRegistry(t);
  const image = await registry.pushImage('a', 'v1', 'one');
  const subject = { mediaType: mediaTypes.ociManifest, digest: image.digest, size: image.bytes.length };
  const config = await registry.pushBlob('a', Buffer.from('{}'), 'application/x.config');
  const annotations = { 'org.example': 'yes' };
  const sbom = encode(
    imageManifest(config, [], { subject, annotations, artifactType: 'application/x.sbom' }),
  );
  const signature = encode(imageManifest(config, [], { subject }));
  const index = encode(indexManifest([], { subject }));
  for (const [bytes, type] of [
    [sbom, mediaTypes.ociManifest],
    [signature, mediaTypes.ociManifest],
    [index, mediaTypes.ociIndex],
  ] as const) {
    const answer = await registry.putManifest('a', digestOf(bytes), bytes, type);
    assert.equal(answer.status, 201);
    assert.equal(answer.headers['oci-subject'], image.digest);
  }
  const path = `/v2/a/referrers/${image.digest}`;
  const all = await registry.call('GET', path);
  assert.equal(all.headers['content-type'], mediaTypes.ociIndex);
  assert.deepEqual(all.json(), {
    schemaVersion: 2,
    mediaType: mediaTypes.ociIndex,
    manifests: [
      {
        mediaType: mediaTypes.ociManifest,
        digest: digestOf(sbom),
        size: sbom.length,
        artifactType: 'application/x.sbom',
        annotations,
      },
      {
        mediaType: mediaTypes.ociManifest,
        digest: digestOf(signature),
        size: signature.length,
        artifactType: 'application/x.config',
      },
      { mediaType: mediaTypes.ociIndex, digest: digestOf(index), size: index.length },
    ].sort((a, b) => (a.digest < b.digest ? -1 : 1)),
  });
  const filtered = await registry.call('GET', `${path}?artifactType=application/x.sbom`);
  assert.equal(filtered.headers['oci-filters-applied'], 'artifactType');
  assert.deepEqual(
    referrersOf(filtered).map((item) => item.digest),
    [digestOf(sbom)],
  );
  await registry.call('DELETE', `/v2/a/manifests/${digestOf(sbom)}`);
  assert.equal(referrersOf(await registry.call('GET', path)).length, 2);
});

test('lists no referrers of what is not, and refuses what is no digest', async (t) => {
  const registry = await startTestRegistry(t);
  const answer = await registry.call('GET', `/v2/none/referrers/${digestOf('x')}`);
  assert.deepEqual([answer.status, referrersOf(answer)], [200, []]);
  const bad = await registry.call('GET', '/v2/none/referrers/latest');
  assert.deepEqual([bad.status, bad.codes()], [400, ['DIGEST_INVALID']]);
});

test('takes a referrer before its subject, and pages through many', async (t) => {
  const registry = await startTestRegistry(t);
  const subject = { mediaType: mediaTypes.ociManifest, digest: digestOf('later'), size: 5 };
  const annotations = { fill: 'x'.repeat(1024 * 1024) };
  const digests: string[] = [];
  for (let number = 0; number < 5; number++) {
    const bytes = encode(
      indexManifest([], { subject, annotations: { ...annotations, number: String(number) } }),
    );
    digests.push(digestOf(bytes));
    const answer = await registry.putManifest('a', digestOf(bytes), bytes, mediaTypes.ociIndex);
    assert.equal(answer.headers['oci-subject'], subject.digest);
  }
  const found = await pages(registry, `/v2/a/referrers/${subject.digest}`, referrersOf);
  assert.ok(found.length > 1);
  assert.deepEqual(
    found.flat().map((item) => item.digest),
    digests.sort(),
  );
});
