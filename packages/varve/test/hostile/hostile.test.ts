/** Archives and registries that mean harm, through the doors by which they come. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { gzipSync } from 'node:zlib';
import { archive, file, folder, hardlink, symlink } from '../../src/layer/testing/archive.ts';
import { digestOf } from '../../src/oci/index.ts';
import { eventually, type Result, TestEngine } from '../engine/harness.ts';
import { fingerprint, holdings } from '../support/data-root.ts';
import { engineCall } from '../support/engine-http.ts';
import { type HostProcess, startBeside } from '../support/host-process.ts';
import { dockerArchive, type Lies, type MadeImage, makeImage, ociArchive } from '../support/made-image.ts';

let engine: TestEngine;
let registry: HostProcess;
let canary: string;
let served: string;

before(async () => {
  engine = await TestEngine.start();
  canary = mkdtempSync('/var/tmp/varve-canary-');
  writeFileSync(join(canary, 'file'), 'untouched\n');
  mkdirSync(join(canary, 'folder'));
  writeFileSync(join(canary, 'folder/inner'), 'untouched\n');
  linkSync(join(canary, 'file'), join(canary, 'second-name'));
  symlinkSync('file', join(canary, 'link'));
  served = join(engine.folder, 'served');
  mkdirSync(join(served, 'blobs'), { recursive: true });
  registry = await startBeside(
    engine.netns,
    process.execPath,
    join(import.meta.dirname, 'lying-registry.ts'),
    served,
  );
  await engine.ok('image', 'prune', '-f');
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await engine?.[Symbol.asyncDispose]();
  if (canary !== undefined) rmSync(canary, { recursive: true });
});

afterEach(async () => {
  assert.equal(await engine.ok('run', '--rm', 'busybox', 'echo', 'alive'), 'alive');
  await eventually('no container is left', () => {
    const { containers, trash } = holdings(join(engine.folder, 'root'));
    return containers?.length === 0 && trash?.length === 0;
  });
});

let imagesServed = 0;

/** Puts an image on the registry and gives its reference. */
function serve(image: Pick<MadeImage, 'manifest' | 'blobs'>, type?: string, digest?: string): string {
  const name = `lie/n${imagesServed++}`;
  const path = join(served, 'manifests', name);
  mkdirSync(path, { recursive: true });
  const document = JSON.stringify({
    type: type ?? 'application/vnd.oci.image.manifest.v1+json',
    base64: image.manifest.toString('base64'),
    ...(digest === undefined ? {} : { digest }),
  });
  for (const reference of ['latest', digestOf(image.manifest)])
    writeFileSync(join(path, reference), document);
  for (const [name, bytes] of image.blobs) writeFileSync(join(served, 'blobs', name), bytes);
  return `127.0.0.1:${registry.firstLine}/${name}:latest`;
}

/** Runs an attempt and checks that it left nothing and that the engine lives; what it gave is removed first. */
async function harmless(what: string, attempt: () => Promise<void>): Promise<void> {
  const root = join(engine.folder, 'root');
  // Folders that were removed are deleted in the background, those of the attempt before, too.
  await eventually('removed folders are gone', () => {
    const { temporary, trash } = holdings(root);
    return temporary?.length === 0 && trash?.length === 0;
  });
  const before = {
    host: fingerprint(canary),
    store: holdings(root),
    images: await engine.ok('images', '-aq', '--no-trunc'),
  };
  await attempt();
  assert.equal(fingerprint(canary), before.host, `${what}: the host was changed`);
  assert.equal(await engine.ok('images', '-aq', '--no-trunc'), before.images, `${what}: an image is listed`);
  await eventually('', () => isDeepStrictEqual(holdings(root), before.store)).catch(() =>
    assert.deepEqual(holdings(root), before.store, `${what}: something is left in the store`),
  );
}

function assertRefused(what: string, result: Result, message: RegExp): void {
  assert.notEqual(result.code, 0, `${what}: taken: ${result.stdout}`);
  assert.match(result.stderr + result.stdout, message, what);
  assert.doesNotMatch(result.stderr + result.stdout, /internal|TypeError|undefined/i, what);
}

/** Sends an image in by every door for images. @param refusal the message; undefined when it is taken and confined. */
async function everyDoor(what: string, image: MadeImage, refusal: RegExp | undefined): Promise<void> {
  const doors: [string, () => Promise<Result>][] = [
    ['load of a docker archive', () => engine.dockerInput(dockerArchive(image, 'hostile:1'), 'load')],
    ['load of an OCI layout', () => engine.dockerInput(ociArchive(image, 'hostile:1'), 'load')],
    [
      'pull',
      async () => {
        const reference = serve(image);
        const result = await engine.docker('pull', reference);
        if (result.code === 0) await engine.ok('tag', reference, 'hostile:1');
        if (result.code === 0) await engine.ok('rmi', reference);
        return result;
      },
    ],
  ];
  const [only, second] = image.tars;
  if (only && !second) {
    doors.push(['import', () => engine.dockerInput(only, 'import', '-', 'hostile:1')]);
  }
  for (const [door, send] of doors) {
    await harmless(`${what}, ${door}`, async () => {
      const result = await send();
      if (refusal) assertRefused(`${what}, ${door}`, result, refusal);
      else {
        assert.equal(result.code, 0, `${what}, ${door}: ${result.stderr}${result.stdout}`);
        await engine.ok('rmi', 'hostile:1');
      }
    });
  }
}

const climb = '../'.repeat(20);

test('names that climb or start at the root stay inside', async () => {
  const tar = archive(
    file(`${climb}${canary}/file`, 'climbed'),
    file(`${canary}/file`, 'absolute'),
    file(`a/../../../..${canary}/new`, 'zigzag'),
    folder(`${canary}/folder`, 0o700),
  );
  await everyDoor('climbing names', makeImage([tar]), undefined);
});

test('a file through a symbolic link of the same or a lower layer stays inside', async () => {
  const link = symlink('out', canary);
  const relative = symlink('up', `${climb}${canary}`);
  const through = [
    file('out/file', 'x'),
    file('up/file', 'x'),
    file('up/new', 'x'),
    hardlink('out/link2', 'out/file'),
  ];
  await everyDoor('link and file', makeImage([archive(link, relative, ...through)]), undefined);
  await everyDoor('link below file', makeImage([archive(link, relative), archive(...through)]), undefined);
});

test('a whiteout through a symbolic link deletes nothing outside', async () => {
  const image = makeImage([
    archive(symlink('out', canary)),
    archive(file('out/.wh.file'), file('out/.wh..wh..opq'), file('out/folder/.wh.inner')),
  ]);
  await everyDoor('whiteout through a link', image, undefined);
});

test('hard links to what is outside are refused', async () => {
  for (const target of [join(canary, 'file'), `${climb}${canary}/file`, '/etc/shadow']) {
    await everyDoor(
      `hard link to ${target}`,
      makeImage([archive(hardlink('mine', target))]),
      /link|no such/i,
    );
  }
});

test('whiteouts of a folder by itself or of its parent are refused', async () => {
  for (const name of ['.wh..', '.wh...', 'a/.wh...', '.wh.../x', '.wh.']) {
    await everyDoor(`whiteout ${name}`, makeImage([archive(folder('a'), file(name))]), /whiteout/);
  }
});

test('archives that end early or are none are refused', async () => {
  const tar = archive(file('a', randomBytes(100_000)));
  await everyDoor('truncated tar', makeImage([tar.subarray(0, 60_000)]), /end|trunc|short|cut/i);
  await everyDoor('noise', makeImage([randomBytes(4096)]), /tar|checksum|header|archive/i);
  const gzip = gzipSync(tar, { level: 1 });
  const cut = makeImage([tar], { compressed: [gzip.subarray(0, 60_000)] });
  await harmless('truncated gzip', async () => {
    assertRefused('truncated gzip', await engine.docker('pull', serve(cut)), /gzip|end|trunc|cut/i);
    assertRefused(
      'truncated gzip',
      await engine.dockerInput(ociArchive(cut, 'h:1'), 'load'),
      /gzip|end|trunc|cut/i,
    );
    const half = ociArchive(makeImage([tar]), 'h:1').subarray(0, 50_000);
    assertRefused('truncated archive', await engine.dockerInput(half, 'load'), /end|trunc|cut/i);
  });
});

test('bombs are stopped', async () => {
  const gigabytes = 5;
  const zeros = gzipSync(Buffer.alloc(2 ** 30), { level: 9 });
  const header = archive({ name: 'zeros' }).subarray(0, 512);
  // One entry of many gigabytes: gzip's members follow one another.
  const size = gigabytes * 2 ** 30;
  header.write(size.toString(8).padStart(11, '0'), 124, 'latin1');
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const bomb = Buffer.concat([
    gzipSync(header),
    ...new Array<Buffer>(gigabytes).fill(zeros),
    gzipSync(Buffer.alloc(1024)),
  ]);
  assert.ok(bomb.length < 10_000_000, `${bomb.length}`);
  const image = makeImage([archive(file('a'))], { compressed: [bomb] });
  await harmless('bomb', async () => {
    assertRefused('pull', await engine.docker('pull', serve(image)), /unpacks to more than/);
    assertRefused('import', await engine.dockerInput(bomb, 'import', '-', 'bomb'), /unpacks to more than/);
    const build = await engineCall(engine.socket, 'POST', '/v1.45/build?t=bomb', bomb);
    assert.match(build.body, /unpacks to more than/);
  });
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
    await harmless(what, async () => {
      assertRefused(`${what}, pull`, await engine.docker('pull', serve(image)), message);
      assertRefused(
        `${what}, load`,
        await engine.dockerInput(ociArchive(image, 'h:1'), 'load'),
        /hash|size|bytes|layers|verification failed/,
      );
    });
  }
  await harmless('wrong DiffID in a docker archive', async () => {
    const image = makeImage([tar], cases[4]?.[1]);
    assertRefused('load', await engine.dockerInput(dockerArchive(image, 'h:1'), 'load'), /hashes to/);
  });
  await harmless('a manifest that is not what its digest says', async () => {
    const image = makeImage([tar]);
    const reference = serve(image, undefined, digestOf(Buffer.from('other')));
    assertRefused('pull', await engine.docker('pull', reference), /digest|hash/);
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
    await harmless(what, async () => {
      assertRefused(`${what}, pull`, await engine.docker('pull', serve(image, type)), message);
      if (type === undefined)
        assertRefused(`${what}, load`, await engine.dockerInput(ociArchive(image, 'h:1'), 'load'), message);
    });
  }
});

test('an index that names itself, or one that nests without end, is refused', async () => {
  const indexType = 'application/vnd.oci.image.index.v1+json';
  let manifest = makeImage([archive(file('a'))]).manifest;
  let type = 'application/vnd.oci.image.manifest.v1+json';
  await harmless('nested index', async () => {
    let reference = '';
    const name = `lie/nest`;
    for (let depth = 0; depth < 8; depth++) {
      const path = join(served, 'manifests', name);
      mkdirSync(path, { recursive: true });
      const document = JSON.stringify({ type, base64: manifest.toString('base64') });
      for (const reference of ['latest', digestOf(manifest)]) writeFileSync(join(path, reference), document);
      reference = `127.0.0.1:${registry.firstLine}/${name}:latest`;
      const entry = {
        mediaType: type,
        digest: digestOf(manifest),
        size: manifest.length,
        platform: { architecture: 'amd64', os: 'linux' },
      };
      manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [entry] }));
      type = indexType;
    }
    assertRefused('pull', await engine.docker('pull', reference), /nested/);
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
    await everyDoorButImport(what, makeImage([tar], lies));
  }
});

async function everyDoorButImport(what: string, image: MadeImage): Promise<void> {
  await harmless(what, async () => {
    const message = /config|too large|larger|limit|DiffID|digest|layers/i;
    assertRefused(`${what}, pull`, await engine.docker('pull', serve(image)), message);
    assertRefused(`${what}, load`, await engine.dockerInput(ociArchive(image, 'h:1'), 'load'), message);
    assertRefused(`${what}, load`, await engine.dockerInput(dockerArchive(image, 'h:1'), 'load'), message);
  });
}

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
        symlink('layer.tar', `${canary}/file`),
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
    await harmless(what, async () => {
      assertRefused(what, await engine.dockerInput(bytes, 'load'), /archive|reference|JSON|not in it/i);
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
  await harmless('blob by link', async () => {
    assertRefused('load', await engine.dockerInput(archive(...entries), 'load'), /digest|hash|not in it/);
  });
});

test('a build context stays in its folder, and its Dockerfile is a file of it', async () => {
  const from = file(
    'Dockerfile',
    'FROM busybox\nCOPY . /ctx/\nRUN cat /ctx/file /ctx/link/file 2>&1; true\n',
  );
  const bad = archive(
    from,
    file(`${climb}${canary}/file`, 'climbed'),
    file(`${canary}/new`, 'x'),
    symlink('link', canary),
    file('link/file', 'through'),
    hardlink('hard', 'Dockerfile'),
  );
  await harmless('context', async () => {
    const answer = await engineCall(engine.socket, 'POST', '/v1.45/build?t=h:1&rm=1', bad);
    assert.doesNotMatch(answer.body, /untouched/, 'a file of the host was read');
    assert.match(answer.body, /Successfully built|error/);
    await engine.docker('rmi', 'h:1');
    await engine.ok('builder', 'prune', '-f');
  });
  await harmless('pipes in a context', async () => {
    const context = archive(
      file('Dockerfile', 'FROM busybox\nCOPY . /x'),
      { name: '.dockerignore', type: 'fifo' },
      { name: 'pipe', type: 'fifo' },
    );
    const answer = await engineCall(engine.socket, 'POST', '/v1.45/build?t=h:1', context);
    assert.match(answer.body, /Successfully built|error/);
    await engine.docker('rmi', 'h:1');
    await engine.ok('builder', 'prune', '-f');
  });
  const refused: [string, Buffer][] = [
    ['Dockerfile by link', archive(symlink('Dockerfile', '/etc/shadow'))],
    ['Dockerfile by climbing link', archive(symlink('Dockerfile', `${climb}etc/passwd`))],
    ['Dockerfile that is a pipe', archive({ name: 'Dockerfile', type: 'fifo' })],
    ['hard link outside', archive(from, hardlink('h', '/etc/shadow'))],
    ['COPY of a path outside', archive(file('Dockerfile', `FROM busybox\nCOPY ${climb}etc/shadow /x`))],
    [
      'COPY through a link',
      archive(symlink('out', canary), file('Dockerfile', 'FROM busybox\nCOPY out/file /x\nRUN cat /x')),
    ],
    ['truncated', archive(from, file('a', randomBytes(50_000))).subarray(0, 30_000)],
    ['noise', randomBytes(5000)],
    ['a Dockerfile of 40 MB', archive(file('Dockerfile', Buffer.alloc(40_000_000, '#')))],
    ['nothing', Buffer.alloc(0)],
  ];
  for (const [what, bytes] of refused) {
    await harmless(what, async () => {
      const { status, body } = await engineCall(engine.socket, 'POST', '/v1.45/build?t=h:1', bytes);
      assert.ok(status >= 400 ? status < 500 : /"error"/.test(body), `${what}: ${status} ${body}`);
      assert.doesNotMatch(body, /untouched|root:x|internal|TypeError/, what);
      await engine.ok('builder', 'prune', '-f');
    });
  }
});

test('what is put into a container stays in it', async () => {
  const id = await engine.ok('create', 'busybox', 'sh', '-c', `ln -s ${canary} /out; sleep 1000`);
  await engine.ok('start', id);
  const put = (path: string, tar: Buffer) =>
    engineCall(engine.socket, 'PUT', `/v1.45/containers/${id}/archive?path=${encodeURIComponent(path)}`, tar);
  const before = fingerprint(canary);
  const tars: [string, Buffer, number][] = [
    ['climbing', archive(file(`${climb}${canary}/file`, 'x'), file(`${canary}/file`, 'x')), 200],
    ['through its own link', archive(symlink('l', canary), file('l/file', 'x'), file('l/new', 'x')), 200],
    ['hard link', archive(hardlink('h', `${canary}/file`), hardlink('h2', '/etc/shadow')), 400],
    ['truncated', archive(file('a', randomBytes(50_000))).subarray(0, 30_000), 400],
    ['noise', randomBytes(5000), 400],
  ];
  for (const [what, tar, status] of tars) {
    for (const path of ['/', '/tmp', '/out/..', `/tmp/${climb}tmp`]) {
      const answer = await put(path, tar);
      if (path === '/out/..') continue;
      assert.equal(answer.status, status, `${what} to ${path}: ${answer.body}`);
    }
    assert.equal(fingerprint(canary), before, what);
  }
  const through = await put('/out', archive(file('file', 'x'), file('new', 'x')));
  assert.ok([200, 400, 404].includes(through.status), through.body);
  assert.equal(fingerprint(canary), before);
  assert.equal((await put('', archive())).status, 400);
  assert.equal((await put('/no/such', archive())).status, 404);
  const whiteout = await put('/tmp', archive(file('.wh..'), file('.wh.x'), file('.wh.../x')));
  assert.equal(whiteout.status, 200, 'names of whiteouts are ordinary here');
  await engine.ok('rm', '-f', id);
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
    await harmless(what, async () => {
      const loaded = await engine.dockerInput(dockerArchive(image, 'h:1'), 'load');
      assert.equal(loaded.code, 0, loaded.stderr);
      const run = await engine.docker('run', '--rm', '--user', 'daemon', 'h:1', '/bin/sh');
      assert.match(run.stderr, /unable to find user daemon|no matching entries|small regular file/, what);
      await engine.ok('rmi', 'h:1');
    });
  }
});
