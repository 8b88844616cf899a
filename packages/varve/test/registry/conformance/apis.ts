import assert from 'node:assert/strict';
import { type Descriptor, digestOf } from '../../../src/oci/index.ts';
import type { Answer } from '../../../src/registry/testing/index.ts';
import type { BlobData, Kind, ManifestData } from './data.ts';
import type { Target } from './target.ts';

/** Something that the distribution spec lets a client do, and what has to come of it. */
export interface Api {
  readonly name: string;
  /** Whether a kind of data has anything to try it with. */
  readonly applies: (kind: Kind) => boolean;
  readonly check: (target: Target, kind: Kind) => Promise<void>;
}

const hasBlobs = ({ blobs }: Kind): boolean => blobs.length > 0;
const hasLongBlobs = ({ blobs }: Kind): boolean => blobs.some(isLong);
const always = (): boolean => true;

function isLong({ bytes }: BlobData): boolean {
  return bytes.length > 3;
}

function forBlobs(name: string, check: (target: Target, blob: BlobData) => Promise<void>, long = false): Api {
  return {
    name,
    applies: long ? hasLongBlobs : hasBlobs,
    check: async (target, { blobs }) => {
      for (const blob of blobs) if (!long || isLong(blob)) await check(target, blob);
    },
  };
}

function forManifests(
  name: string,
  check: (target: Target, manifest: ManifestData) => Promise<void>,
  applies = always,
): Api {
  return {
    name,
    applies,
    check: async (target, kind) => {
      // Manifests are pushed to where their blobs are.
      await target.pushBlobs(target.empty, kind);
      for (const manifest of kind.manifests) await check(target, manifest);
    },
  };
}

function halves({ bytes }: BlobData): readonly [Buffer, Buffer] {
  const middle = Math.ceil(bytes.length / 2);
  return [bytes.subarray(0, middle), bytes.subarray(middle)];
}

async function* pieces({ bytes }: BlobData): AsyncGenerator<Uint8Array, void, void> {
  const step = Math.max(1, Math.ceil(bytes.length / 3));
  for (let start = 0; start < bytes.length; start += step) yield bytes.subarray(start, start + step);
}

/** The blob is not there, and the repository still takes it. */
async function isAbsent(target: Target, { digest }: BlobData): Promise<void> {
  await target.ask('HEAD', `/v2/${target.empty}/blobs/${digest}`, 404);
  await target.refused('GET', `/v2/${target.empty}/blobs/${digest}`, 404, 'BLOB_UNKNOWN');
}

async function isPushed(
  target: Target,
  manifest: ManifestData,
  answer: Answer,
  digest: string,
): Promise<void> {
  assert.equal(answer.headers['docker-content-digest'], digest);
  // spec.md#pushing-manifests-with-subject: the sign that the registry keeps the list of referrers itself.
  assert.equal(answer.headers['oci-subject'], manifest.subject);
  const found = await target.ask('GET', target.next(answer), 200);
  assert.equal(found.body.equals(manifest.bytes), true, 'the manifest at Location is another');
}

async function tagsOf(target: Target, repository: string, query = ''): Promise<string[]> {
  const answer = await target.ask('GET', `/v2/${repository}/tags/list${query}`, 200);
  const { name, tags } = answer.json() as { name: string; tags: string[] };
  assert.equal(name, repository);
  return tags;
}

/** The path of the next page, from a Link header (RFC 8288). */
function linkOf({ headers }: Answer): string | undefined {
  const link = /^<([^>]+)>;\s*rel="?next"?$/.exec(String(headers.link ?? ''));
  return link?.[1];
}

async function referrersOf(target: Target, repository: string, digest: string, query = ''): Promise<Answer> {
  const answer = await target.ask('GET', `/v2/${repository}/referrers/${digest}${query}`, 200);
  assert.equal(answer.headers['content-type'], 'application/vnd.oci.image.index.v1+json');
  const index = answer.json() as { schemaVersion: number; mediaType: string };
  assert.deepEqual([index.schemaVersion, index.mediaType], [2, 'application/vnd.oci.image.index.v1+json']);
  return answer;
}

function digestsOf(answer: Answer): string[] {
  return (answer.json() as { manifests: Descriptor[] }).manifests.map(({ digest }) => digest).toSorted();
}

const typed = (mediaType: string) => ({ 'Content-Type': mediaType });

/** What the distribution spec 1.1 lets clients do (spec.md#endpoints), in the order of its sections. */
export const apis: readonly Api[] = [
  forBlobs('reads a blob by HEAD and GET', async (target, { bytes, digest }) => {
    const path = `/v2/${target.full}/blobs/${digest}`;
    for (const method of ['HEAD', 'GET']) {
      const { headers, body } = await target.ask(method, path, 200);
      assert.equal(headers['content-length'], String(bytes.length));
      assert.equal(headers['docker-content-digest'], digest);
      assert.equal(body.equals(method === 'GET' ? bytes : Buffer.alloc(0)), true);
    }
  }),
  forBlobs(
    'reads ranges of a blob',
    async (target, { bytes, digest }) => {
      const last = bytes.length - 1;
      const ranges: readonly [string, number, number][] = [
        ['bytes=0-1', 0, 1],
        [`bytes=1-${last - 1}`, 1, last - 1],
        ['bytes=2-', 2, last],
        ['bytes=-2', last - 1, last],
        [`bytes=1-${last + 1000}`, 1, last],
      ];
      for (const [range, start, end] of ranges) {
        const answer = await target.ask('GET', `/v2/${target.full}/blobs/${digest}`, 206, {
          headers: { Range: range },
        });
        assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${bytes.length}`);
        assert.equal(answer.body.equals(bytes.subarray(start, end + 1)), true, range);
      }
    },
    true,
  ),
  forBlobs('refuses a range past the end of a blob', async (target, { bytes, digest }) => {
    const headers = { Range: `bytes=${bytes.length}-${bytes.length + 5}` };
    const answer = await target.ask('GET', `/v2/${target.full}/blobs/${digest}`, 416, { headers });
    assert.equal(answer.headers['content-range'], `bytes */${bytes.length}`);
  }),
  forBlobs('sends a blob again only when it is another', async (target, { digest }) => {
    const path = `/v2/${target.full}/blobs/${digest}`;
    const { etag } = (await target.ask('HEAD', path, 200)).headers;
    assert.ok(etag);
    const same = await target.ask('GET', path, 304, { headers: { 'If-None-Match': etag } });
    assert.equal(same.body.length, 0);
    await target.ask('GET', path, 200, { headers: { 'If-None-Match': '"another"' } });
  }),
  forBlobs('knows a blob only where it was pushed', async (target, blob) => {
    await isAbsent(target, blob);
    await target.refused(
      'GET',
      `/v2/${target.full}/blobs/${digestOf(`no ${blob.digest}`)}`,
      404,
      'BLOB_UNKNOWN',
    );
  }),
  forBlobs('takes a blob in one POST', async (target, blob) => {
    const path = `/v2/${target.empty}/blobs/uploads/?digest=${blob.digest}`;
    const headers = typed('application/octet-stream');
    const answer = await target.ask('POST', path, 201, { body: blob.bytes, headers });
    await target.isCreated(target.empty, answer, blob.digest, blob.bytes);
  }),
  forBlobs('takes a blob by POST and PUT', async (target, blob) => {
    await target.close(target.empty, await target.open(target.empty), blob, blob.bytes);
  }),
  forBlobs(
    'takes a blob in chunks and closes it with nothing',
    async (target, blob) => {
      let path = await target.open(target.empty);
      let start = 0;
      for (const chunk of halves(blob)) {
        const answer = await target.patch(path, chunk, 202, start);
        start += chunk.length;
        assert.equal(answer.headers.range, `0-${start - 1}`);
        path = target.next(answer);
        const status = await target.ask('GET', path, 204);
        assert.equal(status.headers.range, `0-${start - 1}`);
        assert.ok(target.next(status));
      }
      await target.close(target.empty, path, blob);
      await target.refused('GET', path, 404, 'BLOB_UPLOAD_UNKNOWN');
    },
    true,
  ),
  forBlobs(
    'takes the last chunk with the PUT',
    async (target, blob) => {
      const [first, second] = halves(blob);
      const path = target.next(await target.patch(await target.open(target.empty), first, 202, 0));
      await target.close(target.empty, path, blob, second, first.length);
    },
    true,
  ),
  forBlobs('takes a blob as a stream of unknown length', async (target, blob) => {
    const answer = await target.patch(await target.open(target.empty), pieces(blob), 202);
    await target.close(target.empty, target.next(answer), blob);
  }),
  forBlobs(
    'refuses a chunk out of order, and goes on with the right one',
    async (target, blob) => {
      const [first, second] = halves(blob);
      const path = await target.open(target.empty);
      await target.patch(path, second, 416, first.length);
      const next = target.next(await target.patch(path, first, 202, 0));
      const again = await target.patch(next, first, 416, 0);
      assert.equal(again.headers.range, `0-${first.length - 1}`);
      await target.close(target.empty, target.next(again), blob, second, first.length);
    },
    true,
  ),
  forBlobs('gives an upload up', async (target, blob) => {
    const path = target.next(await target.patch(await target.open(target.empty), pieces(blob), 202));
    await target.ask('DELETE', path, 204);
    for (const method of ['GET', 'DELETE']) await target.refused(method, path, 404, 'BLOB_UPLOAD_UNKNOWN');
    await target.refused('PUT', `${path}?digest=${blob.digest}`, 404, 'BLOB_UPLOAD_UNKNOWN');
    await isAbsent(target, blob);
  }),
  forBlobs('refuses a blob that is not what its digest says', async (target, blob) => {
    const other = { ...blob, digest: digestOf(`no ${blob.digest}`) };
    for (const digest of [other.digest, 'sha256:abc', 'md5:d41d8cd98f00b204e9800998ecf8427e', 'nothing']) {
      const path = await target.open(target.empty);
      await target.refused('PUT', `${path}?digest=${digest}`, 400, 'DIGEST_INVALID', { body: blob.bytes });
      const post = `/v2/${target.empty}/blobs/uploads/?digest=${digest}`;
      await target.refused('POST', post, 400, 'DIGEST_INVALID', { body: blob.bytes });
    }
    await isAbsent(target, blob);
    await isAbsent(target, other);
  }),
  forBlobs('mounts a blob from another repository', async (target, { digest, bytes }) => {
    const path = `/v2/${target.empty}/blobs/uploads/?mount=${digest}&from=${target.full}`;
    await target.isCreated(target.empty, await target.ask('POST', path, 201), digest, bytes);
  }),
  forBlobs('mounts a blob from wherever it is', async (target, { digest, bytes }) => {
    const path = `/v2/${target.empty}/blobs/uploads/?mount=${digest}`;
    await target.isCreated(target.empty, await target.ask('POST', path, 201), digest, bytes);
  }),
  forBlobs('opens an upload for a blob that is not there to be mounted', async (target, blob) => {
    const path = await target.open(target.empty, `?mount=${blob.digest}&from=${target.empty}-other`);
    await target.close(target.empty, path, blob, blob.bytes);
  }),
  forBlobs('deletes a blob', async (target, blob) => {
    const path = `/v2/${target.empty}/blobs/${blob.digest}`;
    await target.close(target.empty, await target.open(target.empty), blob, blob.bytes);
    await target.ask('DELETE', path, 202);
    await isAbsent(target, blob);
    await target.refused('DELETE', path, 404, 'BLOB_UNKNOWN');
    // Elsewhere it stays.
    await target.ask('HEAD', `/v2/${target.full}/blobs/${blob.digest}`, 200);
  }),
  forManifests('takes a manifest by digest', async (target, manifest) => {
    const answer = await target.put(manifest, target.empty, manifest.digest, 201);
    await isPushed(target, manifest, answer, manifest.digest);
    assert.deepEqual(await tagsOf(target, target.empty), []);
  }),
  forManifests('takes a manifest by tag, and moves the tag', async (target, manifest) => {
    for (const tag of ['moving', ...manifest.tags]) {
      const answer = await target.put(manifest, target.empty, tag, 201);
      await isPushed(target, manifest, answer, digestOf(manifest.bytes));
      const head = await target.ask('HEAD', `/v2/${target.empty}/manifests/${tag}`, 200);
      assert.equal(head.headers['docker-content-digest'], digestOf(manifest.bytes));
    }
  }),
  forManifests('takes a manifest by digest with tags', async (target, manifest) => {
    const query = ['one', 'two'].map((tag) => `tag=${tag}`).join('&');
    const answer = await target.put(manifest, target.empty, `${manifest.digest}?${query}`, 201);
    await isPushed(target, manifest, answer, manifest.digest);
    assert.deepEqual(String(answer.headers['oci-tag']).split(/,\s*/).toSorted(), ['one', 'two']);
    assert.deepEqual(await tagsOf(target, target.empty), ['one', 'two']);
  }),
  forManifests('refuses a manifest that is not what it is said to be', async (target, manifest) => {
    const { bytes, mediaType, digest } = manifest;
    const other = `/v2/${target.empty}/manifests/${digestOf(`no ${digest}`)}`;
    await target.refused('PUT', other, 400, 'DIGEST_INVALID', { body: bytes, headers: typed(mediaType) });
    const tagged = `/v2/${target.empty}/manifests/v1`;
    const headers = typed('application/vnd.example.other+json');
    await target.refused('PUT', tagged, 400, 'MANIFEST_INVALID', { body: bytes, headers });
    for (const reference of ['.v1', '-v1', 'a'.repeat(129), 'v%201', 'sha256:abc']) {
      const path = `/v2/${target.empty}/manifests/${reference}`;
      await target.ask('PUT', path, 400, { body: bytes, headers: typed(mediaType) });
    }
    for (const path of [other, tagged]) await target.refused('GET', path, 404, 'MANIFEST_UNKNOWN');
  }),
  {
    name: 'refuses a manifest whose blobs are not here',
    // Of an index and of an unknown type none are known.
    applies: ({ manifests }) => manifests.some(({ bytes }) => namesBlobs(bytes)),
    check: async (target, { manifests }) => {
      for (const { bytes, mediaType, digest } of manifests.filter((item) => namesBlobs(item.bytes))) {
        for (const reference of ['v1', digest]) {
          const path = `/v2/${target.empty}/manifests/${reference}`;
          const options = { body: bytes, headers: typed(mediaType) };
          await target.refused('PUT', path, 400, 'MANIFEST_BLOB_UNKNOWN', options);
          await target.ask('HEAD', path, 404);
        }
      }
    },
  },
  {
    name: 'reads a manifest by HEAD and GET',
    applies: always,
    check: async (target, { manifests }) => {
      for (const { bytes, digest, mediaType, tags } of manifests) {
        for (const reference of [digest, ...tags]) {
          for (const method of ['HEAD', 'GET']) {
            const path = `/v2/${target.full}/manifests/${reference}`;
            const { headers, body } = await target.ask(method, path, 200, { headers: { Accept: mediaType } });
            assert.equal(headers['content-type'], mediaType);
            assert.equal(headers['content-length'], String(bytes.length));
            const expected = reference === digest ? digest : digestOf(bytes);
            assert.equal(headers['docker-content-digest'], expected);
            assert.equal(body.equals(method === 'GET' ? bytes : Buffer.alloc(0)), true);
          }
        }
      }
    },
  },
  {
    name: 'knows a manifest only where it was pushed, and sends it again only when it is another',
    applies: always,
    check: async (target, { manifests }) => {
      for (const { digest } of manifests) {
        await target.ask('HEAD', `/v2/${target.empty}/manifests/${digest}`, 404);
        await target.refused('GET', `/v2/${target.empty}/manifests/${digest}`, 404, 'MANIFEST_UNKNOWN');
        await target.refused('GET', `/v2/${target.full}/manifests/none`, 404, 'MANIFEST_UNKNOWN');
        const path = `/v2/${target.full}/manifests/${digest}`;
        const { etag } = (await target.ask('HEAD', path, 200)).headers;
        assert.ok(etag);
        await target.ask('GET', path, 304, { headers: { 'If-None-Match': etag } });
      }
    },
  },
  {
    name: 'lists tags in order and in pages',
    applies: always,
    check: async (target, { manifests }) => {
      // spec.md#listing-tags: "in lexical order".
      const expected = manifests.flatMap(({ tags }) => tags).toSorted((a, b) => (a < b ? -1 : 1));
      assert.deepEqual(await tagsOf(target, target.full), expected);
      assert.deepEqual(await tagsOf(target, target.full, '?n=0'), []);
      for (const [place, last] of expected.entries()) {
        assert.deepEqual(await tagsOf(target, target.full, `?last=${last}`), expected.slice(place + 1));
        assert.deepEqual(
          await tagsOf(target, target.full, `?n=1&last=${last}`),
          expected.slice(place + 1, place + 2),
        );
      }
      const paged: string[] = [];
      for (let path: string | undefined = `/v2/${target.full}/tags/list?n=1`; path !== undefined; ) {
        const answer = await target.ask('GET', path, 200);
        paged.push(...(answer.json() as { tags: string[] }).tags);
        path = linkOf(answer);
      }
      assert.deepEqual(paged, expected);
      await target.refused('GET', `/v2/${target.empty}/tags/list`, 404, 'NAME_UNKNOWN');
    },
  },
  {
    name: 'lists referrers, all and by their artifact type',
    applies: always,
    check: async (target, { manifests }) => {
      // Of every manifest, of what names a subject that is not here, and of what nobody knows.
      const subjects = new Set(
        manifests.flatMap(({ digest, subject }) => (subject ? [digest, subject] : [digest])),
      );
      for (const subject of [...subjects, digestOf('nobody')]) {
        const expected = manifests.filter((item) => item.subject === subject);
        const answer = await referrersOf(target, target.full, subject);
        assert.equal(answer.headers['oci-filters-applied'], undefined);
        assert.deepEqual(digestsOf(answer), expected.map(({ digest }) => digest).toSorted());
        const found = (answer.json() as { manifests: Descriptor[] }).manifests;
        for (const { digest, bytes, mediaType, artifactType, annotations } of expected) {
          const entry = found.find((item) => item.digest === digest);
          const { size, ...facts } = entry ?? {};
          assert.equal(size, bytes.length);
          const more = annotations ? { annotations } : {};
          assert.deepEqual(facts, { mediaType, digest, artifactType, ...more });
        }
        for (const type of new Set([
          'application/vnd.example.none',
          ...expected.map((item) => item.artifactType ?? ''),
        ])) {
          const query = `?artifactType=${encodeURIComponent(type)}`;
          const filtered = await referrersOf(target, target.full, subject, query);
          assert.equal(filtered.headers['oci-filters-applied'], 'artifactType');
          const wanted = expected.filter((item) => item.artifactType === type);
          assert.deepEqual(digestsOf(filtered), wanted.map(({ digest }) => digest).toSorted());
        }
      }
      await target.refused('GET', `/v2/${target.full}/referrers/sha256:abc`, 400, 'DIGEST_INVALID');
    },
  },
  forManifests('deletes a tag, and leaves the manifest', async (target, manifest) => {
    await target.put(manifest, target.empty, 'gone', 201);
    await target.put(manifest, target.empty, 'stays', 201);
    const path = `/v2/${target.empty}/manifests/gone`;
    await target.ask('DELETE', path, 202);
    for (const method of ['GET', 'DELETE']) await target.refused(method, path, 404, 'MANIFEST_UNKNOWN');
    assert.deepEqual(await tagsOf(target, target.empty), ['stays']);
    await target.ask('GET', `/v2/${target.empty}/manifests/${digestOf(manifest.bytes)}`, 200);
  }),
  forManifests('deletes a manifest with its tags and from its subject', async (target, manifest) => {
    const { digest, subject, mediaType, bytes } = manifest;
    const tagged = `/v2/${target.empty}/manifests/${digest}?tag=one&tag=two`;
    await target.ask('PUT', tagged, 201, { body: bytes, headers: typed(mediaType) });
    const path = `/v2/${target.empty}/manifests/${digest}`;
    await target.ask('DELETE', path, 202);
    for (const method of ['GET', 'DELETE']) await target.refused(method, path, 404, 'MANIFEST_UNKNOWN');
    assert.deepEqual(await tagsOf(target, target.empty), []);
    if (subject) assert.ok(!digestsOf(await referrersOf(target, target.empty, subject)).includes(digest));
    // And it can come back.
    await target.put(manifest, target.empty, digest, 201);
  }),
];

/** Whether a manifest is an image with a blob that it cannot do without. */
function namesBlobs(bytes: Buffer): boolean {
  return (JSON.parse(bytes.toString()) as { config?: unknown }).config !== undefined;
}
