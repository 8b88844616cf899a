import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { entry, eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

test('lists, inspects, tags, untags', async () => {
  const id = await engine.inspect('busybox', '{{.Id}}');
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  await engine.ok('tag', 'busybox', 'example.test/team/app:1.0');
  assert.deepEqual((await engine.ok('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n').sort(), [
    'busybox:latest',
    'example.test/team/app:1.0',
  ]);
  assert.equal(await engine.ok('images', '-q', '--no-trunc', '--filter', 'reference=example.test/*/app'), id);
  assert.match(await engine.ok('rmi', 'example.test/team/app:1.0'), /Untagged: example.test\/team\/app:1.0/);
  await engine.fails(1, /invalid reference format/, 'tag', 'busybox', 'UPPER');
});

test('save and load keep id and tags', async () => {
  const tar = join(engine.folder, 'saved.tar');
  const id = await engine.inspect('busybox', '{{.Id}}');
  await engine.ok('save', '-o', tar, 'busybox');
  const names = execFileSync('tar', ['-tf', tar], { encoding: 'utf8' });
  for (const name of ['manifest.json', 'index.json', 'oci-layout'])
    assert.match(names, new RegExp(`^${name}$`, 'm'));
  await engine.ok('rmi', 'busybox');
  assert.equal(await engine.ok('images', '-q'), '');
  assert.match(await engine.ok('load', '-i', tar), /Loaded image: busybox:latest/);
  assert.equal(await engine.inspect('busybox', '{{.Id}}'), id);
  assert.equal(await engine.ok('run', '--rm', 'busybox', 'echo', 'works'), 'works');
  await engine.fails(1, /./, 'load', '-i', '/etc/passwd');
});

test('an image in use stays; force takes the tag of one used by a stopped container', async () => {
  await engine.ok('tag', 'busybox', 'used');
  await engine.ok('run', '-d', '--name', 'user', 'used', 'sleep', '1000');
  await engine.ok('rmi', 'busybox');
  await engine.fails(
    1,
    /conflict: .*in use|being used by running container/,
    'rmi',
    '-f',
    await engine.inspect('used', '{{.Id}}'),
  );
  await engine.ok('tag', 'used', 'busybox');
  await engine.ok('rmi', 'used');
  await engine.ok('rm', '-f', 'user');
});

test('builds a Dockerfile: arguments, copy, cache, failure', async () => {
  const context = join(engine.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'file'), 'copied\n');
  writeFileSync(join(context, 'secret'), 'ignored\n');
  writeFileSync(join(context, '.dockerignore'), 'secret\n');
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nARG WHO=nobody\nRUN echo $WHO >/who && id -u >/uid\nCOPY . /ctx/\nENV A=b\nLABEL l=m\nWORKDIR /ctx\nCMD ["sh", "-c", "cat /who file; ls"]\n',
  );
  const built = await engine.ok('build', '-t', 'built:1', '--build-arg', 'WHO=me', context);
  assert.match(built, /Step 3\/8 : RUN/);
  assert.match(built, /Successfully tagged built:1/);
  assert.equal(await engine.ok('run', '--rm', 'built:1'), 'me\ncopied\nDockerfile\nfile');
  assert.match(await engine.ok('build', '--build-arg', 'WHO=me', context), /Using cache/);
  assert.equal(
    await engine.inspect('built:1', '{{index .Config.Labels "l"}} {{.Config.WorkingDir}}'),
    'm /ctx',
  );
  const history = (await engine.ok('history', '--no-trunc', '--format', '{{.CreatedBy}}', 'built:1')).split(
    '\n',
  );
  assert.match(history[0] ?? '', /CMD/);
  writeFileSync(join(context, 'Broken'), 'FROM busybox\nRUN echo before; exit 42\n');
  const failed = await engine.docker('build', '-f', join(context, 'Broken'), context);
  assert.match(failed.stderr, /returned a non-zero code: 42/);
  assert.match(failed.stdout, /before/);
  assert.notEqual(failed.code, 0);
  await engine.fails(1, /unknown instruction/i, 'build', '-', '--bogus').catch(() => undefined);
});

test('push and pull carry an image to a registry and back', async () => {
  const registry = engine.beginOnHost(
    process.execPath,
    entry,
    'registry',
    'serve',
    '--addr=127.0.0.1:5000',
    `--root=${join(engine.folder, 'registry')}`,
  );
  try {
    await eventually(
      'the registry',
      async () => (await engine.onHost('curl', '-sf', 'http://127.0.0.1:5000/v2/')).code === 0,
    );
    const name = '127.0.0.1:5000/team/app:1';
    const id = await engine.inspect('busybox', '{{.Id}}');
    await engine.ok('tag', 'busybox', name);
    const pushed = await engine.ok('push', name);
    assert.match(pushed, /The push refers to repository \[127\.0\.0\.1:5000\/team\/app\]/);
    const [, digest = ''] = /1: digest: (sha256:[0-9a-f]{64}) size: \d+/.exec(pushed) ?? [];
    assert.match(await engine.ok('push', name), /Layer already exists/);
    await engine.ok('save', '-o', join(engine.folder, 'keep.tar'), 'busybox');
    await engine.ok('rmi', name, 'busybox');
    await engine.ok('builder', 'prune', '-af');
    const pulled = await engine.ok('pull', name);
    assert.match(
      pulled,
      new RegExp(`1: Pulling from team/app[^]*Digest: ${digest}[^]*Downloaded newer image for ${name}`),
    );
    assert.equal(await engine.inspect(name, '{{.Id}}'), id);
    assert.equal(await engine.inspect(name, '{{index .RepoDigests 0}}'), `127.0.0.1:5000/team/app@${digest}`);
    assert.match(await engine.ok('pull', name), /Image is up to date/);
    assert.equal(await engine.ok('run', '--rm', `127.0.0.1:5000/team/app@${digest}`, 'echo', 'ran'), 'ran');
    await engine.fails(
      1,
      /manifest for 127\.0\.0\.1:5000\/team\/app:9 not found/,
      'pull',
      '127.0.0.1:5000/team/app:9',
    );
    await engine.ok('load', '-i', join(engine.folder, 'keep.tar'));
  } finally {
    registry.kill();
  }
});

test('prunes what nothing uses', async () => {
  await engine.ok('rmi', 'built:1');
  await engine.ok('image', 'prune', '-f');
  await engine.ok('tag', 'busybox', 'keep-me');
  await engine.ok('system', 'df');
  assert.match(await engine.ok('images', '--format', '{{.Repository}}'), /busybox/);
});
