import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, mediaTypes } from '../../oci/index.ts';
import { encode } from '../testing/index.ts';
import { readManifest } from './document.ts';

const config = { mediaType: mediaTypes.ociConfig, digest: digestOf('c'), size: 1 };
const layer = { mediaType: mediaTypes.ociLayer, digest: digestOf('l'), size: 1 };
const image = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [layer] };
const index = {
  schemaVersion: 2,
  mediaType: mediaTypes.ociIndex,
  manifests: [{ ...layer, mediaType: mediaTypes.ociManifest }],
};

test('names the blobs of an image once each', () => {
  const manifest = readManifest(encode({ ...image, layers: [layer, layer] }), mediaTypes.ociManifest);
  assert.deepEqual(manifest.blobs, [
    { digest: config.digest, size: 1 },
    { digest: layer.digest, size: 1 },
  ]);
  assert.deepEqual(manifest.children, []);
});

test('names the children of an index, and no blobs', () => {
  const manifest = readManifest(encode(index), `${mediaTypes.ociIndex}; charset=utf-8`);
  assert.deepEqual(manifest.children, [layer.digest]);
  assert.deepEqual(manifest.blobs, []);
  assert.equal(manifest.mediaType, mediaTypes.ociIndex);
});

test('does not ask for layers that may not be distributed', () => {
  const foreign = { ...layer, mediaType: mediaTypes.dockerForeignLayer };
  const manifest = readManifest(encode({ ...image, layers: [foreign] }), mediaTypes.ociManifest);
  assert.deepEqual(manifest.optionalBlobs, [layer.digest]);
  assert.deepEqual(manifest.blobs, [{ digest: config.digest, size: 1 }]);
});

test('takes the artifact type from the config when there is none', () => {
  assert.equal(readManifest(encode(image), mediaTypes.ociManifest).artifactType, config.mediaType);
  const typed = { ...image, artifactType: 'application/x.sbom' };
  assert.equal(readManifest(encode(typed), mediaTypes.ociManifest).artifactType, 'application/x.sbom');
  assert.equal(readManifest(encode(index), mediaTypes.ociIndex).artifactType, undefined);
});

test('takes the type from the body when Content-Type is missing', () => {
  assert.equal(readManifest(encode(image), undefined).mediaType, mediaTypes.ociManifest);
  const { mediaType: _, ...untyped } = index;
  assert.equal(readManifest(encode(untyped), undefined).mediaType, mediaTypes.ociIndex);
});

test('keeps unknown types as they are, with their subject when they are JSON', () => {
  assert.equal(readManifest(Buffer.from('not json'), 'application/x.thing').mediaType, 'application/x.thing');
  const artifact = { subject: layer };
  assert.equal(readManifest(encode(artifact), 'application/x.thing+json').subject, layer.digest);
});

test('hashes as the reference it is pushed to', () => {
  const bytes = encode(image);
  const digest = digestOf(bytes, 'sha512');
  assert.equal(readManifest(bytes, undefined, digest).digest, digest);
  assert.throws(() => readManifest(bytes, undefined, digestOf('other')), { code: 'DIGEST_INVALID' });
});

const refused: readonly (readonly [string, Buffer, string?])[] = [
  ['no JSON', Buffer.from('{'), mediaTypes.ociManifest],
  ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), mediaTypes.ociManifest],
  ['an array', Buffer.from('[]'), mediaTypes.ociManifest],
  ['no type at all', encode({ a: 1 })],
  ['a malformed type', encode(image), 'nonsense'],
  ['a type that contradicts the body', encode(image), mediaTypes.ociIndex],
  ['an image that is an index too', encode({ ...image, manifests: [] }), mediaTypes.ociManifest],
  ['an index that is an image too', encode({ ...index, layers: [] }), mediaTypes.ociIndex],
  ['an index with a config', encode({ ...index, config }), mediaTypes.ociIndex],
  ['schemaVersion 3', encode({ ...image, schemaVersion: 3 }), mediaTypes.ociManifest],
  ['no config', encode({ ...image, config: undefined }), mediaTypes.ociManifest],
  [
    'a digest that climbs',
    encode({ ...image, config: { ...config, digest: 'sha256:../../x' } }),
    mediaTypes.ociManifest,
  ],
  ['a negative size', encode({ ...image, config: { ...config, size: -1 } }), mediaTypes.ociManifest],
  ['a fractional size', encode({ ...image, config: { ...config, size: 1.5 } }), mediaTypes.ociManifest],
  ['layers that are no list', encode({ ...image, layers: {} }), mediaTypes.ociManifest],
  ['a docker image without layers', encode({ schemaVersion: 2, config }), mediaTypes.dockerManifest],
  [
    'too many layers',
    encode({ ...image, layers: Array.from({ length: 10_001 }, () => layer) }),
    mediaTypes.ociManifest,
  ],
  ['annotations that are no strings', encode({ ...image, annotations: { a: 1 } }), mediaTypes.ociManifest],
  ['a subject that is no descriptor', encode({ ...image, subject: 'x' }), mediaTypes.ociManifest],
];

for (const [what, bytes, contentType] of refused) {
  test(`refuses ${what}`, () => {
    assert.throws(() => readManifest(bytes, contentType), { code: 'MANIFEST_INVALID' });
  });
}
