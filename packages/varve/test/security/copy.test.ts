import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type ArchiveEntry, archive, file, folder, symlink } from '../../src/layer/testing/archive.ts';
import { TestEngine } from '../engine/harness.ts';
import { engineCall, type HttpAnswer } from '../support/engine-http.ts';
import { dockerArchive, makeImage } from '../support/made-image.ts';

/** A folder of the host that nothing may read or touch. */
const canary = mkdtempSync('/var/tmp/varve-canary-');
writeFileSync(join(canary, 'secret'), 'host secret');

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(canary, { recursive: true });
});

function untouched(what: string): void {
  assert.deepEqual(readdirSync(canary), ['secret'], what);
  assert.equal(readFileSync(join(canary, 'secret'), 'utf8'), 'host secret', what);
}

function archiveCall(
  method: string,
  id: string,
  query: string,
  body: Buffer = Buffer.alloc(0),
): Promise<HttpAnswer> {
  return engineCall(engine.socket, method, `/v1.45/containers/${id}/archive?${query}`, body);
}

/** Makes an image with a layer over busybox's, and gives its name. */
async function imageWith(name: string, ...entries: readonly ArchiveEntry[]): Promise<string> {
  const image = makeImage([archive(...entries)]);
  const loaded = await engine.dockerInput(dockerArchive(image, name), 'load');
  assert.equal(loaded.code, 0, loaded.stderr);
  return name;
}

const program = (name: string, content: string | Buffer) => ({ ...file(name, content), mode: 0o755 });

test('no swap of a folder for a link lets a copy out of a running container (CVE-2018-15664)', async () => {
  const swap = `mkdir -p /w${canary} /w/real /away; echo own > /w/real/secret; ln -s ${canary} /w/link; cd /w
    while :; do mv real spot; mv spot real; mv link spot; mv spot link; done`;
  await engine.ok('run', '-d', '--name', 'racer', '-v', 'racevol:/vol', 'busybox', 'sh', '-c', swap);
  const tar = archive(file('planted', 'from outside'));
  const answers = new Map<number, number>();
  for (let round = 0; round < 80; round++) {
    const [read, write] = await Promise.all([
      // What changes under way cuts the answer short.
      archiveCall('GET', 'racer', 'path=/w/spot/secret').catch(() => ({ status: 400, body: 'cut' })),
      archiveCall('PUT', 'racer', 'path=/w/spot', tar),
    ]);
    assert.doesNotMatch(read.body, /host secret/);
    for (const { status, body } of [read, write]) {
      // A copy that meets the swap may fail as it likes.
      assert.ok(status === 200 || status >= 400, `${status} ${body}`);
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
  }
  untouched('after the race');
  assert.ok((answers.get(200) ?? 0) > 0, `some copies met the folder: ${JSON.stringify([...answers])}`);
  await engine.ok('rm', '-f', 'racer');
});

test('a copy into a read-only root or volume is refused, also on the way through a link', async () => {
  await engine.ok('volume', 'create', 'ro');
  await engine.ok(
    'create',
    '--name',
    'readonly',
    '--read-only',
    '-v',
    'ro:/data:ro',
    '-v',
    'rw:/rw',
    'busybox',
  );
  const tar = archive(file('x', 'x'));
  for (const path of ['/tmp', '/data', '/rw/../data', '/rw/../tmp']) {
    const { status, body } = await archiveCall('PUT', 'readonly', `path=${path}`, tar);
    assert.equal(status, 403, `${path}: ${status} ${body}`);
    assert.match(body, /read-only/, path);
  }
  assert.equal((await archiveCall('PUT', 'readonly', 'path=/rw', tar)).status, 200);
  await engine.ok('rm', 'readonly');
});

test('noOverwriteDirNonDir keeps folder and file apart', async () => {
  await engine.ok('create', '--name', 'apart', 'busybox');
  assert.equal(
    (await archiveCall('PUT', 'apart', 'path=/tmp', archive(folder('d'), file('f', 'f')))).status,
    200,
  );
  for (const tar of [archive(file('d', 'x')), archive(folder('f'))]) {
    const { status, body } = await archiveCall('PUT', 'apart', 'path=/tmp&noOverwriteDirNonDir=true', tar);
    assert.equal(status, 400, body);
    assert.match(body, /cannot overwrite/, body);
  }
  await engine.ok('rm', 'apart');
});

test('compressed archives run no program of the image (CVE-2026-41567)', async () => {
  const { execFileSync } = await import('node:child_process');
  const evil = ['xz', 'unpigz', 'gzip', 'bzip2', 'zstd'].flatMap((name) => [
    program(`bin/${name}`, '#!/bin/sh\ntouch /ran\n'),
    program(`usr/bin/${name}`, '#!/bin/sh\ntouch /ran\n'),
  ]);
  await imageWith('evil:1', folder('bin'), folder('usr'), folder('usr/bin'), folder('tmp'), ...evil);
  await engine.ok('create', '--name', 'evil', 'evil:1', '/bin/xz');
  const plain = archive(file('x', 'packed'));
  for (const program of ['xz', 'gzip', 'bzip2', 'zstd']) {
    const packed = execFileSync(program, ['-c'], { input: plain });
    const { status, body } = await archiveCall('PUT', 'evil', 'path=/tmp', packed);
    assert.equal(status, 200, `${program}: ${body}`);
    assert.match((await archiveCall('GET', 'evil', 'path=/tmp/x')).body, /packed/);
  }
  assert.equal((await archiveCall('HEAD', 'evil', 'path=/ran')).status, 404);
  await engine.ok('rm', 'evil');
});

test('a mount whose target lies behind a link of the image lands inside (CVE-2021-30465)', async () => {
  const shell = program('bin/sh', readFileSync('/bin/busybox'));
  await imageWith(
    'links:1',
    folder('bin'),
    shell,
    folder('run'),
    folder('etc'),
    folder('var'),
    symlink('var/run', '/run'),
    symlink('link', '/'),
    symlink('out', canary),
    symlink('up', `../../../../..${canary}`),
  );
  const script = 'echo in > /link/etc/v/f; echo in > /var/run/v/f; echo in > /out/v/f; echo in > /up/v/f';
  const targets = ['/link/etc/v', '/var/run/v', '/out/v', '/up/v'];
  const binds = targets.flatMap((target, index) => ['-v', `link${index}:${target}`]);
  await engine.ok('run', '--name', 'links', ...binds, 'links:1', '/bin/sh', '-c', script);
  untouched('mounts through links');
  for (const [index, target] of targets.entries()) {
    const { body } = await archiveCall('GET', 'links', `path=${target}/f`);
    assert.match(body, /in\n/, `docker cp sees link${index} at ${target}`);
  }
  await engine.ok('rm', '-v', 'links');
});

test('an image in which /proc, /sys or /dev is a link is refused (CVE-2019-16884)', async () => {
  const shell = program('bin/sh', readFileSync('/bin/busybox'));
  for (const name of ['proc', 'sys', 'dev']) {
    const other = symlink(name, canary);
    await imageWith('special:1', folder('bin'), shell, folder('etc'), other);
    const probe =
      'cat /proc/kcore | head -c 1; echo x > /proc/sys/kernel/core_pattern; echo x > /dev/new; echo ran';
    const run = await engine.docker('run', '--rm', 'special:1', '/bin/sh', '-c', probe);
    assert.match(run.stderr, new RegExp(`"/${name}" of the image is no ordinary folder`));
    assert.equal(run.stdout, '', name);
    untouched(name);
    await engine.ok('rmi', 'special:1');
  }
});

const shareMount = (subpath: string, target: string): string =>
  `type=volume,source=shared,target=${target},volume-subpath=${subpath}`;

test('a subpath is the part of a volume, for the container, docker cp and --volumes-from', async () => {
  await engine.ok(
    'run',
    '--rm',
    '-v',
    'shared:/v',
    'busybox',
    'sh',
    '-c',
    'mkdir -p /v/a/b; echo part > /v/a/b/f; echo top > /v/top',
  );
  await engine.ok(
    'create',
    '--name',
    'part',
    '--mount',
    shareMount('a/b', '/p'),
    '--mount',
    shareMount('top', '/t'),
    'busybox',
    'cat',
    '/p/f',
    '/t',
  );
  assert.equal(await engine.ok('start', '-a', 'part'), 'part\ntop');
  assert.match((await archiveCall('GET', 'part', 'path=/p/f')).body, /part/);
  assert.equal(await engine.ok('run', '--rm', '--volumes-from', 'part', 'busybox', 'ls', '/p'), 'f');
  await engine.ok('rm', 'part');
  assert.equal(await engine.ok('run', '--rm', '-v', 'shared:/v', 'busybox', 'cat', '/v/a/b/f'), 'part');
});

test('a link in a volume does not take a subpath out of it', async () => {
  const { Mountpoint } = JSON.parse(await engine.ok('volume', 'inspect', '--format', '{{json .}}', 'shared'));
  symlinkSync(canary, join(Mountpoint, 'out'));
  symlinkSync(`../../../../../../..${canary}`, join(Mountpoint, 'up'));
  mkdirSync(join(Mountpoint, 'deep'));
  symlinkSync('/', join(Mountpoint, 'deep/root'));
  for (const subpath of ['out', 'up', `deep/root${canary}`, 'out/secret']) {
    const run = await engine.docker(
      'run',
      '--rm',
      '--mount',
      shareMount(subpath, '/p'),
      'busybox',
      'sh',
      '-c',
      'cat /p /p/secret; touch /p/new',
    );
    assert.doesNotMatch(run.stdout, /host secret/, subpath);
    assert.match(run.stderr, /cannot access path|leads out of the volume/, subpath);
    await engine.ok('create', '--name', 'peek', '--mount', shareMount(subpath, '/p'), 'busybox');
    const read = await archiveCall('GET', 'peek', 'path=/p/secret');
    assert.doesNotMatch(read.body, /host secret/, subpath);
    await archiveCall('PUT', 'peek', 'path=/p', archive(file('new', 'x')));
    untouched(subpath);
    await engine.ok('rm', 'peek');
  }
  const missing = await engine.docker('run', '--rm', '--mount', shareMount('nope', '/p'), 'busybox', 'true');
  assert.match(missing.stderr, /cannot access path nope .*no such file or directory/);
});
