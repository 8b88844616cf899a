/** A registry that lies about what it sends. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { archive, file } from '../../src/layer/testing/archive.ts';
import { digestOf } from '../../src/oci/index.ts';
import { dockerArchive, type Lies, makeImage, ociArchive } from '../support/made-image.ts';
import { assertRefused, type HostileRig, withHostileRig } from './hostile-rig.ts';

let rig: HostileRig;
withHostileRig((made) => {
  rig = made;
});

test('bytes that are not what their digest, size or DiffID says are refused', async () => {
  const tar = archive(file('a', 'content'));
  const cases: [string, Lies, RegExp][] = [
    ['wrong digest', { layerBytes: (gzip) => Buffer.alloc(gzip.length, 7) }, /hash/],
    ['too short', { layerBytes: (gzip) => gzip.subarray(0, -3) }, /bytes|ended/],
    ['too long', { layerBytes: (gzip) => Buffer.concat([gzip, Buffer.alloc(9)]) }, /bytes/],
    [
      'wrong size',
      {
        manifest: (manifest) => ({
          ...manifest,
          layers: (manifest['layers'] as { size: number }[]).map((layer) => ({
            ...layer,
            size: layer.size + 5,
          })),
        }),
      },
      /bytes|size/,
    ],
    [
      'wrong DiffID',
      {
        config: (config) => ({
          ...config,
          rootfs: { type: 'layers', diff_ids: [digestOf(Buffer.from('x'))] },
        }),
      },
      /hashes to|verification failed/,
    ],
    [
      'another number of layers',
      { config: (config) => ({ ...config, rootfs: { type: 'layers', diff_ids: [] } }) },
      /layers/,
    ],
  ];
  for (const [what, lies, message] of cases) {
    const image = makeImage([tar], lies);
    await rig.harmless(what, async () => {
      assertRefused(`${what}, pull`, await rig.engine.docker('pull', rig.serve(image)), message);
      assertRefused(
        `${what}, load`,
        await rig.engine.dockerInput(ociArchive(image, 'h:1'), 'load'),
        /hash|size|bytes|layers|verification failed/,
      );
    });
  }
  await rig.harmless('wrong DiffID in a docker archive', async () => {
    const image = makeImage([tar], cases[4]?.[1]);
    assertRefused('load', await rig.engine.dockerInput(dockerArchive(image, 'h:1'), 'load'), /hashes to/);
  });
  await rig.harmless('a manifest that is not what its digest says', async () => {
    const image = makeImage([tar]);
    const reference = rig.serve(image, undefined, digestOf(Buffer.from('other')));
    assertRefused('pull', await rig.engine.docker('pull', reference), /digest|hash/);
  });
});

test('manifests that are two things at once, or too much, are refused', async () => {
  const tar = archive(file('a'));
  const indexType = 'application/vnd.oci.image.index.v1+json';
  const cases: [string, Lies, string | undefined, RegExp][] = [
    ['layers and manifests', { manifest: (m) => ({ ...m, manifests: [] }) }, undefined, /both/],
    ['case variant', { manifest: (m) => ({ ...m, Layers: [] }) }, undefined, /ambiguous/],
    ['sent as an index', {}, indexType, /calls itself|manifests/],
    [
      'calls itself an index',
      { manifest: (m) => ({ ...m, mediaType: indexType }) },
      undefined,
      /calls itself|manifests/,
    ],
    ['schema 1', { manifest: () => ({ schemaVersion: 1, fsLayers: [] }) }, undefined, /schema 1/],
    ['no JSON', { manifest: () => 'hello' }, undefined, /JSON/],
    ['no config', { manifest: (m) => ({ ...m, config: null }) }, undefined, /config/],
    [
      'digest as a path',
      {
        manifest: (m) => ({
          ...m,
          config: { mediaType: 'a/b', digest: 'sha256:../../../etc/passwd', size: 1 },
        }),
      },
      undefined,
      /digest/,
    ],
    [
      '100,000 layers',
      {
        manifest: (m) => ({
          ...m,
          layers: Array.from({ length: 100_000 }, () => ({
            mediaType: 'a/b',
            digest: `sha256:${'0'.repeat(64)}`,
            size: 1,
          })),
        }),
      },
      undefined,
      /limit|more than|larger than/,
    ],
    [
      '5 MB of annotations',
      { manifest: (m) => ({ ...m, annotations: { a: 'x'.repeat(5_000_000) } }) },
      undefined,
      /limit|more than|larger than/,
    ],
  ];
  for (const [what, lies, type, message] of cases) {
    const image = makeImage([tar], lies);
    await rig.harmless(what, async () => {
      assertRefused(`${what}, pull`, await rig.engine.docker('pull', rig.serve(image, type)), message);
      if (type === undefined)
        assertRefused(
          `${what}, load`,
          await rig.engine.dockerInput(ociArchive(image, 'h:1'), 'load'),
          message,
        );
    });
  }
});

test('an index that names itself, or one that nests without end, is refused', async () => {
  const indexType = 'application/vnd.oci.image.index.v1+json';
  let manifest = makeImage([archive(file('a'))]).manifest;
  let type = 'application/vnd.oci.image.manifest.v1+json';
  await rig.harmless('nested index', async () => {
    let reference = '';
    const name = `lie/nest`;
    for (let depth = 0; depth < 8; depth++) {
      const path = join(rig.served, 'manifests', name);
      mkdirSync(path, { recursive: true });
      const document = JSON.stringify({ type, base64: manifest.toString('base64') });
      for (const reference of ['latest', digestOf(manifest)]) writeFileSync(join(path, reference), document);
      reference = `127.0.0.1:${rig.registry.firstLine}/${name}:latest`;
      const entry = {
        mediaType: type,
        digest: digestOf(manifest),
        size: manifest.length,
        platform: { architecture: 'amd64', os: 'linux' },
      };
      manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [entry] }));
      type = indexType;
    }
    assertRefused('pull', await rig.engine.docker('pull', reference), /nested/);
  });
});

test('configs with huge or wrong fields are refused', async () => {
  const tar = archive(file('a'));
  const config = (more: unknown): Lies => ({ config: (truth) => ({ ...truth, config: more }) });
  const cases: [string, Lies][] = [
    ['a command of 10 MB', config({ Cmd: ['x'.repeat(10_000_000)] })],
    ['a command that is no list', config({ Cmd: { a: 1 } })],
    ['a number as user', config({ User: 7 })],
    ['labels in labels', config({ Labels: { a: { b: 'c' } } })],
    ['no rootfs', { config: (truth) => ({ ...truth, rootfs: undefined }) }],
    [
      'a DiffID that is a path',
      { config: (truth) => ({ ...truth, rootfs: { type: 'layers', diff_ids: ['sha256:../../x'] } }) },
    ],
    ['no JSON', { config: () => 'hello' }],
  ];
  for (const [what, lies] of cases) {
    await rig.everyDoorButImport(what, makeImage([tar], lies));
  }
});
