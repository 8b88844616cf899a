import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
  await engine.ok('run', '-d', '--name', 'box', '-v', 'vol:/data', 'busybox', 'sleep', '100000');
});
after(() => engine[Symbol.asyncDispose]());

test('cp into and out of a running container, files and folders', async () => {
  const folder = join(engine.folder, 'src');
  mkdirSync(join(folder, 'deep'), { recursive: true });
  writeFileSync(join(folder, 'deep/a'), 'content');
  symlinkSync('deep/a', join(folder, 'link'));
  await engine.ok('cp', folder, 'box:/tmp/');
  assert.equal(
    await engine.ok('exec', 'box', 'sh', '-c', 'cat /tmp/src/deep/a; readlink /tmp/src/link'),
    'contentdeep/a',
  );
  await engine.ok('cp', 'box:/tmp/src', join(engine.folder, 'back'));
  assert.equal(readFileSync(join(engine.folder, 'back/deep/a'), 'utf8'), 'content');
  assert.equal(readlinkSync(join(engine.folder, 'back/link')), 'deep/a');
  await engine.ok('cp', 'box:/tmp/src/.', join(engine.folder, 'contents'));
  assert.equal(readFileSync(join(engine.folder, 'contents/deep/a'), 'utf8'), 'content');
});

test('cp sees volumes, and works on a stopped container', async () => {
  const file = join(engine.folder, 'single');
  writeFileSync(file, 'in a volume');
  await engine.ok('cp', file, 'box:/data/renamed');
  assert.equal(await engine.ok('exec', 'box', 'cat', '/data/renamed'), 'in a volume');
  await engine.ok('create', '--name', 'still', '-v', 'vol:/elsewhere', 'busybox');
  await engine.ok('cp', 'still:/elsewhere/renamed', join(engine.folder, 'out'));
  assert.equal(readFileSync(join(engine.folder, 'out'), 'utf8'), 'in a volume');
  await engine.ok('cp', file, 'still:/root/new');
  await engine.ok('cp', 'still:/root/new', join(engine.folder, 'out2'));
  assert.equal(readFileSync(join(engine.folder, 'out2'), 'utf8'), 'in a volume');
  await engine.ok('rm', 'still');
});

test('cp follows no link out of the container', async () => {
  await engine.ok(
    'exec',
    'box',
    'sh',
    '-c',
    'ln -s /etc /tmp/abs; ln -s ../../../../../../../../etc /tmp/up; echo mine >/etc/mine',
  );
  const out = join(engine.folder, 'mine');
  await engine.ok('cp', 'box:/tmp/abs/mine', out);
  assert.equal(readFileSync(out, 'utf8'), 'mine\n');
  await engine.ok('cp', 'box:/tmp/up/mine', out);
  await engine.fails(1, /Could not find the file/, 'cp', 'box:/tmp/abs/shadow', out);
  const file = join(engine.folder, 'evil');
  writeFileSync(file, 'x');
  await engine.ok('cp', file, 'box:/tmp/up/varve-evil');
  assert.equal(await engine.ok('exec', 'box', 'cat', '/etc/varve-evil'), 'x');
});

test('cp tells what is wrong', async () => {
  await engine.fails(1, /Could not find the file \/nope in container box/, 'cp', 'box:/nope', engine.folder);
  const file = join(engine.folder, 'any');
  writeFileSync(file, 'x');
  await engine.fails(1, /no such directory|Could not find the file/, 'cp', file, 'box:/nope/x');
  await engine.ok('run', '-d', '--name', 'frozen', '--read-only', 'busybox', 'sleep', '1000');
  await engine.fails(1, /container rootfs is marked read-only/, 'cp', file, 'frozen:/tmp/');
  await engine.ok('rm', '-f', 'frozen');
});

test('diff shows what changed, and not the runtime’s own files', async () => {
  await engine.ok(
    'run',
    '--name',
    'changed',
    'busybox',
    'sh',
    '-c',
    'echo >/root/new; rm /etc/group; echo >>/etc/passwd',
  );
  assert.deepEqual((await engine.ok('diff', 'changed')).split('\n').sort(), [
    'A /root/new',
    'C /etc',
    'C /etc/passwd',
    'C /root',
    'D /etc/group',
  ]);
});

test('commit keeps the changes and takes new settings', async () => {
  await engine.ok(
    'commit',
    '-m',
    'note',
    '-a',
    'me',
    '-c',
    'CMD ["cat", "/root/new"]',
    '-c',
    'ENV X=y',
    'changed',
    'made:1',
  );
  assert.equal(
    await engine.inspect('made:1', '{{.Config.Cmd}} {{.Author}} {{.Comment}}'),
    '[cat /root/new] me note',
  );
  assert.match(await engine.inspect('made:1', '{{.Config.Env}}'), /X=y/);
  assert.equal((await engine.docker('run', '--rm', 'made:1', 'test', '-e', '/etc/group')).code, 1);
  await engine.ok('run', '--rm', 'made:1');
  await engine.ok('rm', 'changed');
  await engine.ok('rmi', 'made:1');
});

test('export and import give the same tree', async () => {
  const tar = join(engine.folder, 'export.tar');
  await engine.ok(
    'run',
    '--name',
    'exported',
    'busybox',
    'sh',
    '-c',
    'echo 1 >/one; chmod 4755 /one; ln /one /two',
  );
  await engine.ok('export', '-o', tar, 'exported');
  const names = execFileSync('tar', ['-tf', tar], { encoding: 'utf8' }).split('\n');
  assert.ok(names.includes('one') && names.includes('two') && names.includes('bin/busybox'));
  await engine.ok('import', tar, 'again');
  assert.equal(await engine.ok('run', '--rm', 'again', 'stat', '-c', '%a %h', '/one'), '4755 2');
  await engine.ok('rm', 'exported');
  await engine.ok('rmi', 'again');
});
