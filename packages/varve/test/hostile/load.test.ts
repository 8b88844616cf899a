/** Image archives that mean harm. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { archive, file, folder, symlink } from '../../src/layer/testing/archive.ts';
import { digestOf } from '../../src/oci/index.ts';
import { dockerArchive, makeImage } from '../support/made-image.ts';
import { assertRefused, climb, type HostileRig, withHostileRig } from './hostile-rig.ts';

let rig: HostileRig;
withHostileRig((made) => {
  rig = made;
});

test('paths in image archives lead to nothing outside and to nothing else inside', async () => {
  const image = makeImage([archive(file('a'))]);
  const manifest = (Config: unknown, Layers: unknown): Buffer =>
    Buffer.from(JSON.stringify([{ Config, RepoTags: ['h:1'], Layers }]));
  const shadow = '../../../../../../etc/shadow';
  const cases: [string, Buffer][] = [
    ['config outside', archive(file('manifest.json', manifest(shadow, [])))],
    [
      'config by link',
      archive(symlink('c.json', '/etc/passwd'), file('manifest.json', manifest('c.json', []))),
    ],
    [
      'layer outside',
      archive(file('c.json', image.config), file('manifest.json', manifest('c.json', [shadow]))),
    ],
    [
      'layer by link',
      archive(
        symlink('layer.tar', `${rig.canary}/file`),
        file('c.json', image.config),
        file('manifest.json', manifest('c.json', ['layer.tar'])),
      ),
    ],
    [
      'links in a circle',
      archive(symlink('c', 'd'), symlink('d', 'c'), file('manifest.json', manifest('c', []))),
    ],
    ['no list', archive(file('manifest.json', '{"a":1}'))],
    ['nothing', archive()],
    ['names in lower types', archive(file('manifest.json', manifest(7, 'x')))],
    [
      'bad tag',
      archive(
        file('c.json', image.config),
        file('l', image.tars[0] ?? ''),
        file(
          'manifest.json',
          JSON.stringify([{ Config: 'c.json', RepoTags: ['../../UP:$(x)'], Layers: ['l'] }]),
        ),
      ),
    ],
  ];
  for (const [what, bytes] of cases) {
    await rig.harmless(what, async () => {
      assertRefused(what, await rig.engine.dockerInput(bytes, 'load'), /archive|reference|JSON|not in it/i);
    });
  }
});

test('a layout cannot pass one blob off as another by a link', async () => {
  const good = makeImage([archive(file('a'))]);
  const other = makeImage([archive(file('b'))], { config: (truth) => ({ ...truth, author: 'other' }) });
  const claimed = digestOf(other.config);
  const parts = JSON.parse(good.manifest.toString()) as Record<string, unknown>;
  const manifest = Buffer.from(
    JSON.stringify({
      ...parts,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: claimed,
        size: other.config.length,
      },
    }),
  );
  const entries = [
    file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
    file(
      'index.json',
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            digest: digestOf(manifest),
            size: manifest.length,
          },
        ],
      }),
    ),
    file(`blobs/sha256/${digestOf(manifest).slice(7)}`, manifest),
    file('elsewhere', good.config),
    symlink(`blobs/sha256/${claimed.slice(7)}`, '../../elsewhere'),
    ...[...good.blobs].map(([digest, bytes]) => file(`blobs/sha256/${digest.slice(7)}`, bytes)),
  ];
  await rig.harmless('blob by link', async () => {
    assertRefused('load', await rig.engine.dockerInput(archive(...entries), 'load'), /digest|hash|not in it/);
  });
});

test('an image whose /etc/passwd is no file does not hang a run that names a user', async () => {
  for (const [what, passwd] of [
    ['pipe', { name: 'etc/passwd', type: 'fifo' }],
    ['link out', symlink('etc/passwd', '/proc/self/fd/0')],
    ['link to the host', symlink('etc/passwd', `${climb}etc/passwd`)],
    ['device', { name: 'etc/passwd', type: 'character-device', major: 1, minor: 5 }],
    ['40 MB', file('etc/passwd', Buffer.alloc(40_000_000, 'x:x:1:1:::\n'))],
  ] as const) {
    const image = makeImage([archive(folder('etc'), passwd, file('bin/sh'))]);
    await rig.harmless(what, async () => {
      const loaded = await rig.engine.dockerInput(dockerArchive(image, 'h:1'), 'load');
      assert.equal(loaded.code, 0, loaded.stderr);
      const run = await rig.engine.docker('run', '--rm', '--user', 'daemon', 'h:1', '/bin/sh');
      assert.match(run.stderr, /unable to find user daemon|no matching entries|small regular file/, what);
      await rig.engine.ok('rmi', 'h:1');
    });
  }
});
