import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

test('a named volume keeps data from container to container', async () => {
  await engine.ok('volume', 'create', '--label', 'k=v', 'data');
  await engine.ok('run', '--rm', '-v', 'data:/d', 'busybox', 'sh', '-c', 'echo kept >/d/f');
  assert.equal(await engine.ok('run', '--rm', '-v', 'data:/e:ro', 'busybox', 'cat', '/e/f'), 'kept');
  assert.equal(await engine.ok('volume', 'inspect', '-f', '{{.Labels.k}} {{.Driver}}', 'data'), 'v local');
});

test('a volume in use stays', async () => {
  await engine.ok('create', '--name', 'user', '-v', 'data:/d', 'busybox');
  await engine.fails(1, /volume is in use - \[[0-9a-f]{64}\]/, 'volume', 'rm', 'data');
  await engine.ok('rm', 'user');
  await engine.ok('volume', 'rm', 'data');
  await engine.fails(1, /no such volume/, 'volume', 'inspect', 'data');
});

test('a new volume takes over what the image has there, owner and mode too', async () => {
  const context = join(engine.folder, 'context');
  mkdirSync(context);
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nRUN mkdir -m 750 /filled && echo image >/filled/file && chown -R 1000:1000 /filled\nVOLUME /filled\n',
  );
  await engine.ok('build', '-t', 'filled', context);
  assert.equal(
    await engine.ok(
      'run',
      '--rm',
      '-v',
      'fresh:/filled',
      'filled',
      'sh',
      '-c',
      'cat /filled/file; stat -c "%u:%g %a" /filled',
    ),
    'image\n1000:1000 750',
  );
  await engine.ok('run', '--rm', '-v', 'fresh:/filled', 'filled', 'sh', '-c', 'echo mine >/filled/file');
  assert.equal(
    await engine.ok('run', '--rm', '-v', 'fresh:/filled', 'filled', 'cat', '/filled/file'),
    'mine',
  );
});

test('anonymous volumes go with --rm and rm -v, and stay otherwise', async () => {
  const count = async (): Promise<number> =>
    (await engine.ok('volume', 'ls', '-q', '--filter', 'name=^[0-9a-f]{64}$')).split('\n').filter(Boolean)
      .length;
  await engine.ok('run', '--rm', 'filled', 'true');
  assert.equal(await count(), 0);
  await engine.ok('run', '--name', 'anon', '-v', '/also', 'filled', 'true');
  assert.equal(await count(), 2);
  await engine.ok('rm', 'anon');
  assert.equal(await count(), 2);
  await engine.ok('volume', 'prune', '-f');
  assert.equal(await count(), 0);
  assert.match(await engine.ok('volume', 'ls', '-q'), /fresh/);
});

test('--volumes-from shares them', async () => {
  await engine.ok('run', '-d', '--name', 'owner', '-v', 'fresh:/shared', 'busybox', 'sleep', '1000');
  assert.equal(
    await engine.ok('run', '--rm', '--volumes-from', 'owner', 'busybox', 'cat', '/shared/file'),
    'mine',
  );
  await engine.fails(
    1,
    /Read-only/,
    'run',
    '--rm',
    '--volumes-from',
    'owner:ro',
    'busybox',
    'touch',
    '/shared/x',
  );
  await engine.ok('rm', '-f', 'owner');
});
