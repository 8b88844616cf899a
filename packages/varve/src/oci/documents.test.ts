import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  digestOf,
  encodeJson,
  isDigest,
  isForeignLayer,
  layerCompression,
  mediaTypes,
  parseImageConfig,
  parseIndex,
  parseManifest,
  parseManifestDocument,
} from './index.ts';

const blob = { mediaType: mediaTypes.ociLayerGzip, digest: digestOf('layer'), size: 5 };
const config = { mediaType: mediaTypes.ociConfig, digest: digestOf('{}'), size: 2 };
const manifest = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [blob] };
const index = {
  schemaVersion: 2,
  manifests: [
    { ...blob, mediaType: mediaTypes.ociManifest, platform: { os: 'linux', architecture: 'amd64' } },
  ],
};
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

test('tells manifests from indexes and keeps their parts', () => {
  assert.deepEqual(parseManifestDocument(bytes(manifest), `${mediaTypes.ociManifest}; charset=utf-8`), {
    kind: 'manifest',
    mediaType: mediaTypes.ociManifest,
    document: manifest,
  });
  const parsed = parseManifestDocument(bytes(index), mediaTypes.dockerManifestList);
  assert.equal(parsed.kind, 'index');
  assert.equal(parsed.mediaType, mediaTypes.dockerManifestList);
  assert.equal(parseManifestDocument(bytes(index), 'application/json').mediaType, mediaTypes.ociIndex);
  assert.deepEqual(parseIndex(bytes(index)).manifests, index.manifests);
  assert.throws(() => parseManifest(bytes(index)), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parseIndex(bytes(manifest)), { code: 'MANIFEST_INVALID' });
});

test('refuses documents that two readers could read in two ways', () => {
  const cases: readonly (readonly [unknown, string?])[] = [
    [{ ...manifest, manifests: [] }],
    [{ ...index, layers: [] }],
    [{ ...index, config }],
    [manifest, mediaTypes.ociIndex],
    [manifest, mediaTypes.dockerManifest],
    [{ ...index, mediaType: mediaTypes.ociManifest }],
    [{ ...manifest, mediaType: mediaTypes.ociIndex }],
    [{ ...manifest, mediaType: 'application/json' }],
    [{ ...manifest, Layers: [] }],
    [{ ...manifest, MANIFESTS: [] }],
    [{ ...manifest, config: { ...config, Digest: digestOf('x') } }],
  ];
  for (const [document, type] of cases) {
    assert.throws(
      () => parseManifestDocument(bytes(document), type),
      { code: 'MANIFEST_INVALID' },
      JSON.stringify(document),
    );
  }
});

test('refuses malformed and oversized documents', () => {
  const cases: readonly unknown[] = [
    null,
    [],
    'x',
    {},
    { ...manifest, schemaVersion: 1 },
    { schemaVersion: 1, fsLayers: [], history: [] },
    { ...manifest, schemaVersion: '2' },
    { ...manifest, config: undefined },
    { ...manifest, layers: {} },
    { ...manifest, layers: [null] },
    { ...manifest, layers: [{ ...blob, size: -1 }] },
    { ...manifest, layers: [{ ...blob, size: 1.5 }] },
    { ...manifest, layers: [{ ...blob, size: 2 ** 60 }] },
    { ...manifest, layers: [{ ...blob, size: '5' }] },
    { ...manifest, layers: [{ ...blob, digest: 'sha256:../../etc/passwd' }] },
    { ...manifest, layers: [{ ...blob, digest: blob.digest.toUpperCase() }] },
    { ...manifest, layers: [{ ...blob, mediaType: 'x' }] },
    { ...manifest, layers: [{ ...blob, data: 'bm90aGVy' }] },
    { ...manifest, layers: [{ ...blob, urls: [1] }] },
    { ...manifest, annotations: { a: 1 } },
    { ...manifest, layers: Array.from({ length: 1001 }, () => blob) },
  ];
  for (const document of cases) {
    assert.throws(
      () => parseManifestDocument(bytes(document)),
      { code: 'MANIFEST_INVALID' },
      JSON.stringify(document)?.slice(0, 200),
    );
  }
  assert.throws(() => parseManifestDocument(Buffer.from('{"schemaVersion":2')), { code: 'MANIFEST_INVALID' });
  assert.throws(() => parseManifestDocument(Buffer.from([0x22, 0xff, 0x22])), { code: 'MANIFEST_INVALID' });
  const large = { ...manifest, annotations: { a: 'x'.repeat(4 * 1024 * 1024) } };
  assert.throws(() => parseManifestDocument(bytes(large)), { kind: 'too-large' });
});

test('accepts inline data that is what the digest names', () => {
  const inline = { ...blob, data: Buffer.from('layer').toString('base64') };
  assert.deepEqual(parseManifest(bytes({ ...manifest, layers: [inline] })).layers, [inline]);
});

test('any JSON is read or refused, and what is read is whole', () => {
  const member = fc.oneof(
    fc.constantFrom<unknown>(2, 1, null, [], {}, '', mediaTypes.ociManifest, mediaTypes.ociIndex),
    fc.constantFrom<unknown>(blob, [blob], config, { ...blob, size: -1 }, { ...blob, digest: 'sha256:x' }),
    fc.jsonValue(),
  );
  const keys = [
    'schemaVersion',
    'mediaType',
    'config',
    'layers',
    'manifests',
    'subject',
    'annotations',
    'Layers',
  ];
  const documents = fc.oneof(
    fc.dictionary(fc.constantFrom(...keys), member),
    fc.dictionary(fc.constantFrom(...keys), member).map((part) => ({ ...manifest, ...part })),
    fc.jsonValue(),
  );
  let read = 0;
  fc.assert(
    fc.property(documents, (document) => {
      try {
        const parsed = parseManifestDocument(bytes(document));
        read++;
        const descriptors = parsed.kind === 'index' ? parsed.document.manifests : parsed.document.layers;
        for (const { digest, size } of descriptors) assert.ok(isDigest(digest) && size >= 0);
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'MANIFEST_INVALID');
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(read > 20, `only ${read} documents were readable`);
});

test("reads Docker's configs with their nulls and string commands", () => {
  const parsed = parseImageConfig(
    bytes({
      architecture: 'amd64',
      os: 'linux',
      created: '2026-01-01T00:00:00Z',
      config: {
        Env: null,
        Labels: null,
        Cmd: 'sh',
        Entrypoint: null,
        OnBuild: null,
        Volumes: { '/data': {} },
      },
      rootfs: { type: 'layers', diff_ids: [blob.digest] },
      history: [{ created_by: 'RUN x' }, { empty_layer: true }],
      docker_version: '20',
    }),
  );
  assert.deepEqual(parsed, {
    architecture: 'amd64',
    os: 'linux',
    created: '2026-01-01T00:00:00Z',
    config: { Cmd: ['sh'], Entrypoint: null, Volumes: { '/data': {} } },
    rootfs: { type: 'layers', diff_ids: [blob.digest] },
    history: [{ created_by: 'RUN x' }, { empty_layer: true }],
  });
});

test('refuses hostile configs', () => {
  const good = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } };
  assert.ok(parseImageConfig(bytes(good)));
  const cases: readonly unknown[] = [
    { ...good, os: undefined },
    { ...good, rootfs: undefined },
    { ...good, rootfs: { type: 'layers', diff_ids: ['sha256:zz'] } },
    { ...good, config: [] },
    { ...good, config: { Env: ['A=\0'] } },
    { ...good, config: { Env: [1] } },
    { ...good, config: { WorkingDir: '/\0' } },
    { ...good, config: { Labels: { a: 1 } } },
    { ...good, history: 'x' },
  ];
  for (const document of cases) {
    assert.throws(
      () => parseImageConfig(bytes(document)),
      { code: 'CONFIG_INVALID' },
      JSON.stringify(document),
    );
  }
});

test('writes equal data as equal bytes, whatever the order of its keys', () => {
  assert.equal(
    encodeJson({ b: [1, { d: undefined, c: 'é' }], a: null }).toString(),
    '{"a":null,"b":[1,{"c":"é"}]}',
  );
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const shuffled = Object.fromEntries(Object.entries(value).reverse());
      assert.deepEqual(encodeJson(shuffled), encodeJson(value));
      assert.deepEqual(JSON.parse(encodeJson(value).toString()), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('knows how layers are compressed', () => {
  assert.equal(layerCompression(mediaTypes.ociLayerZstd), 'zstd');
  assert.equal(layerCompression(mediaTypes.dockerLayerGzip), 'gzip');
  assert.equal(layerCompression(mediaTypes.ociLayer), 'none');
  assert.equal(layerCompression('application/octet-stream'), undefined);
  assert.equal(layerCompression('toString'), undefined);
  assert.ok(isForeignLayer(mediaTypes.dockerForeignLayer));
  assert.ok(!isForeignLayer(mediaTypes.dockerLayerGzip));
});
