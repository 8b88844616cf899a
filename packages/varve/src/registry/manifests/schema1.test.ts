import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { schema1SignedType } from '../../distribution/index.ts';
import { signSchema1 } from '../../distribution/testing/index.ts';
import { digestOf } from '../../oci/index.ts';
import { encode } from '../testing/index.ts';
import { readManifest } from './document.ts';

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const layers = [digestOf('a'), digestOf('b')];
const document = {
  schemaVersion: 1,
  name: 'team/app',
  tag: 'v1',
  architecture: 'amd64',
  fsLayers: [layers[0], layers[1], layers[0]].map((blobSum) => ({ blobSum })),
  history: ['{}', '{}', '{}'].map((v1Compatibility) => ({ v1Compatibility })),
};
const { envelope, payload } = signSchema1(document, keys);
const push = { enabled: true, repository: 'team/app', tag: 'v1' };

test('keeps the envelope under the digest of what is signed, with its layers once each', () => {
  const manifest = readManifest(envelope, schema1SignedType, undefined, push);
  assert.equal(manifest.digest, digestOf(payload));
  assert.equal(manifest.mediaType, schema1SignedType);
  assert.deepEqual([manifest.bytes, manifest.size], [envelope, envelope.length]);
  assert.deepEqual(
    manifest.blobs,
    layers.map((digest) => ({ digest })),
  );
});

test('knows it by what it is where the type does not say', () => {
  for (const type of [
    undefined,
    'application/json',
    'application/vnd.docker.distribution.manifest.v1+json',
  ]) {
    assert.equal(readManifest(envelope, type).mediaType, schema1SignedType);
  }
});

test('is found by the digest of what is signed, and by no other', () => {
  const digest = digestOf(payload, 'sha512');
  assert.equal(readManifest(envelope, schema1SignedType, digest).digest, digest);
  assert.throws(() => readManifest(envelope, schema1SignedType, digestOf(envelope)), {
    code: 'DIGEST_INVALID',
  });
});

test('takes no push where it is not let, and reads what is here', () => {
  const read = (enabled: boolean) =>
    readManifest(envelope, schema1SignedType, undefined, { ...push, enabled });
  assert.throws(() => read(false), { code: 'MANIFEST_INVALID', message: /compatibility\.schema1\.enabled/ });
  assert.equal(readManifest(envelope, schema1SignedType).size, envelope.length);
});

const refused: readonly (readonly [what: string, body: object, code: string])[] = [
  ['another name than the URL’s', { ...document, name: 'team/other' }, 'NAME_INVALID'],
  ['a name that is none', { ...document, name: '../x' }, 'NAME_INVALID'],
  ['no name', { ...document, name: undefined }, 'NAME_INVALID'],
  ['another tag than the URL’s', { ...document, tag: 'v2' }, 'TAG_INVALID'],
  ['a tag that is none', { ...document, tag: 7 }, 'TAG_INVALID'],
  ['no layers', { ...document, fsLayers: [], history: [] }, 'MANIFEST_INVALID'],
  ['layers that are no list', { ...document, fsLayers: {} }, 'MANIFEST_INVALID'],
  [
    'a digest that climbs',
    { ...document, fsLayers: [{ blobSum: 'sha256:../../x' }], history: [0] },
    'MANIFEST_INVALID',
  ],
  ['a layer that is null', { ...document, fsLayers: [null], history: [0] }, 'MANIFEST_INVALID'],
  ['less history than layers', { ...document, history: [] }, 'MANIFEST_INVALID'],
  ['another version', { ...document, schemaVersion: 2 }, 'MANIFEST_INVALID'],
  ['a member in two spellings', { ...document, fslayers: [] }, 'MANIFEST_INVALID'],
];

for (const [what, body, code] of refused) {
  test(`refuses ${what}`, () => {
    const bytes = signSchema1(body, keys).envelope;
    assert.throws(() => readManifest(bytes, schema1SignedType, undefined, push), { code });
  });
}

test('refuses what is not signed, and what was changed since', () => {
  assert.throws(() => readManifest(encode(document), schema1SignedType), { code: 'MANIFEST_INVALID' });
  const changed = Buffer.from(envelope.toString().replace('"amd64"', '"arm64"'));
  assert.throws(() => readManifest(changed, schema1SignedType), { code: 'MANIFEST_UNVERIFIED' });
});
