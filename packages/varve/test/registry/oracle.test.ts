import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, mediaTypes } from '../../src/oci/index.ts';
import {
  type Answer,
  type CallOptions,
  encode,
  httpCall,
  imageManifest,
} from '../../src/registry/testing/index.ts';
import { startDockerRegistry, startServer, temporaryFolder } from './programs.ts';

const blob = Buffer.from('the quick brown fox');
const config = Buffer.from('{}');
const digest = digestOf(blob);
const absent = digestOf('absent');
const layer = { mediaType: mediaTypes.ociLayer, digest, size: blob.length };
const configDescriptor = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length };
const manifest = encode(imageManifest(configDescriptor, [layer]));
const manifestDigest = digestOf(manifest);
const octets = { 'Content-Type': 'application/octet-stream' };
const typed = { 'Content-Type': mediaTypes.ociManifest };

interface Step {
  readonly method: string;
  /** `{upload}` stands for the path of the last upload, with its query. */
  readonly path: string;
  readonly options?: CallOptions;
  /** Where the two differ on purpose: Varve's status. */
  readonly ours?: number;
}

/** One story, told to both registries step by step. */
const story: readonly Step[] = [
  { method: 'GET', path: '/v2/' },
  { method: 'HEAD', path: '/v2/' },
  { method: 'GET', path: '/v2/_catalog' },
  { method: 'GET', path: '/v2/a/b/tags/list' },
  { method: 'GET', path: '/v2/a/b/manifests/v1' },
  { method: 'HEAD', path: `/v2/a/b/blobs/${digest}` },
  // a blob in chunks
  { method: 'POST', path: '/v2/a/b/blobs/uploads/' },
  { method: 'GET', path: '{upload}' },
  {
    method: 'PATCH',
    path: '{upload}',
    options: { body: blob.subarray(0, 4), headers: { ...octets, 'Content-Range': '0-3' } },
  },
  { method: 'GET', path: '{upload}' },
  { method: 'PATCH', path: '{upload}', options: { body: blob.subarray(4), headers: octets } },
  { method: 'PUT', path: `{upload}&digest=${digest}` },
  { method: 'GET', path: '{upload}' },
  // a blob at once
  { method: 'POST', path: '/v2/a/b/blobs/uploads/' },
  {
    method: 'PUT',
    path: `{upload}&digest=${configDescriptor.digest}`,
    options: { body: config, headers: octets },
  },
  // uploads that fail
  { method: 'POST', path: '/v2/a/b/blobs/uploads/' },
  { method: 'PUT', path: `{upload}&digest=${absent}`, options: { body: blob, headers: octets } },
  { method: 'POST', path: '/v2/a/b/blobs/uploads/' },
  { method: 'PUT', path: '{upload}', options: { body: blob, headers: octets } },
  { method: 'DELETE', path: '{upload}' },
  { method: 'DELETE', path: '{upload}' },
  { method: 'GET', path: '/v2/a/b/blobs/uploads/6c8b7d2a-0000-4000-8000-000000000000' },
  // blobs
  { method: 'GET', path: `/v2/a/b/blobs/${digest}` },
  { method: 'HEAD', path: `/v2/a/b/blobs/${digest}` },
  { method: 'GET', path: `/v2/a/b/blobs/${digest}`, options: { headers: { Range: 'bytes=2-4' } } },
  { method: 'GET', path: `/v2/a/b/blobs/${digest}`, options: { headers: { Range: 'bytes=-4' } } },
  { method: 'GET', path: `/v2/a/b/blobs/${digest}`, options: { headers: { Range: 'bytes=4-' } } },
  {
    method: 'GET',
    path: `/v2/a/b/blobs/${digest}`,
    options: { headers: { 'If-None-Match': `"${digest}"` } },
  },
  {
    method: 'GET',
    path: `/v2/a/b/blobs/${digest}`,
    options: { headers: { Range: 'bytes=2-4', 'If-Range': '"other"' } },
  },
  { method: 'GET', path: `/v2/a/c/blobs/${digest}` },
  { method: 'GET', path: '/v2/a/b/blobs/sha256:zz' },
  { method: 'POST', path: `/v2/a/b/blobs/${digest}` },
  // not here: a range past the end, whose 416 docker-registry breaks off (it announces the blob's length)
  // mounts
  { method: 'POST', path: `/v2/a/c/blobs/uploads/?mount=${digest}&from=a/b` },
  { method: 'POST', path: `/v2/a/c/blobs/uploads/?mount=${absent}&from=a/b` },
  { method: 'GET', path: `/v2/a/c/blobs/${digest}` },
  // manifests
  { method: 'PUT', path: '/v2/a/b/manifests/v1', options: { body: manifest, headers: typed } },
  { method: 'PUT', path: `/v2/a/b/manifests/${manifestDigest}`, options: { body: manifest, headers: typed } },
  { method: 'PUT', path: `/v2/a/b/manifests/${absent}`, options: { body: manifest, headers: typed } },
  { method: 'PUT', path: '/v2/a/c/manifests/v1', options: { body: manifest, headers: typed } },
  { method: 'PUT', path: '/v2/a/b/manifests/v2', options: { body: 'junk', headers: typed } },
  { method: 'GET', path: '/v2/a/b/manifests/v1', options: { headers: { Accept: mediaTypes.ociManifest } } },
  { method: 'HEAD', path: '/v2/a/b/manifests/v1', options: { headers: { Accept: mediaTypes.ociManifest } } },
  {
    method: 'GET',
    path: `/v2/a/b/manifests/${manifestDigest}`,
    options: { headers: { Accept: mediaTypes.ociManifest } },
  },
  { method: 'GET', path: '/v2/a/b/manifests/v9' },
  { method: 'HEAD', path: '/v2/a/b/manifests/v9' },
  { method: 'GET', path: `/v2/a/b/manifests/${absent}` },
  { method: 'POST', path: '/v2/a/b/manifests/v1' },
  { method: 'GET', path: '/v2/a/b/tags/list' },
  { method: 'GET', path: '/v2/_catalog?n=1' },
  // single-request uploads: the reference opens an upload instead
  { method: 'POST', path: `/v2/a/b/blobs/uploads/?digest=${digest}`, options: { body: blob }, ours: 201 },
  // deleting
  { method: 'DELETE', path: `/v2/a/b/blobs/${absent}` },
  { method: 'DELETE', path: `/v2/a/b/manifests/${absent}` },
  // the reference deletes a blob that a manifest needs, and cannot delete a tag
  { method: 'DELETE', path: '/v2/a/b/manifests/none', ours: 404 },
  { method: 'DELETE', path: `/v2/a/b/manifests/${manifestDigest}` },
  { method: 'GET', path: '/v2/a/b/manifests/v1' },
  { method: 'DELETE', path: `/v2/a/b/blobs/${digest}` },
  { method: 'GET', path: `/v2/a/b/blobs/${digest}` },
  { method: 'DELETE', path: `/v2/a/b/blobs/${digest}` },
];

/** Headers that clients act on; the rest is each server's own. */
const compared = [
  'content-type',
  'content-length',
  'content-range',
  'range',
  'docker-content-digest',
  'docker-distribution-api-version',
  'etag',
  'accept-ranges',
];

/** What must be equal: of errors the status and the code, of the rest the headers and the body, too. */
function essence(answer: Answer, method: string): unknown {
  if (answer.status >= 400) return { status: answer.status };
  const headers = Object.fromEntries(
    compared.filter((name) => answer.headers[name] !== undefined).map((name) => [name, answer.headers[name]]),
  );
  if (method === 'DELETE' || answer.status === 304) return { status: answer.status };
  return { status: answer.status, headers, body: answer.body.toString() };
}

test('answers as docker-registry does wherever both can', async (t) => {
  const folder = temporaryFolder(t);
  const own = await startServer(t, `${folder}/varve`);
  const theirs = await startDockerRegistry(t, folder);
  const uploads = new Map<string, string>();
  const tell = async (base: string, step: Step): Promise<Answer> => {
    const upload = uploads.get(base) ?? '';
    const path = step.path.replace('{upload}', upload).replace(/^([^?]*)&/, '$1?');
    const answer = await httpCall(base, step.method, path, step.options).catch((cause: unknown) => {
      throw new Error(`${step.method} ${base}${path}`, { cause });
    });
    const location = answer.headers.location;
    if (answer.status === 202 && location) {
      const url = new URL(location, base);
      uploads.set(base, `${url.pathname}${url.search}`);
    }
    return answer;
  };
  for (const [number, step] of story.entries()) {
    const [ourAnswer, theirAnswer] = [await tell(own.url, step), await tell(theirs.url, step)];
    const where = `step ${number}: ${step.method} ${step.path}`;
    if (step.ours !== undefined) {
      assert.equal(ourAnswer.status, step.ours, where);
      assert.notEqual(theirAnswer.status, step.ours, `${where}: the reference agrees by now`);
      continue;
    }
    assert.deepEqual(essence(ourAnswer, step.method), essence(theirAnswer, step.method), where);
  }
});
