import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsBelow } from '../../src/linux/index.ts';
import { busyboxTar, eventually, TestEngine } from './harness.ts';

const flag = '--storage-driver=erofs';

/** An engine whose data root has never seen another driver. */
async function startWithErofs(): Promise<TestEngine> {
  const engine = await TestEngine.start();
  await engine.down();
  rmSync(join(engine.folder, 'root'), { recursive: true });
  await engine.up(flag);
  await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
  return engine;
}

test('an engine on erofs runs, builds, commits, saves and loads, and unpacks no archive', async () => {
  await using engine = await startWithErofs();
  assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), 'erofs');
  assert.equal(await engine.ok('run', '--rm', 'busybox', 'echo', 'hello'), 'hello');

  const context = join(engine.folder, 'context');
  mkdirSync(context);
  writeFileSync(join(context, 'file'), 'from the context');
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM busybox\nCOPY file /data/file\nRUN rm /etc/group && echo made > /data/made\nRUN rm -r /var && mkdir /var\n',
  );
  await engine.ok('build', '-t', 'built', context);
  const read = ['sh', '-c', 'cat /data/file /data/made; ls /etc /var'];
  const shown = await engine.ok('run', '--rm', 'built', ...read);
  assert.equal(
    shown.replace(/\s+/g, ' '),
    'from the contextmade /etc: hostname hosts passwd resolv.conf /var:'.replace(/\s+/g, ' '),
  );

  await engine.ok('run', '--name', 'box', 'built', 'sh', '-c', 'echo mine > /data/mine; rm /data/file');
  assert.deepEqual((await engine.ok('diff', 'box')).split('\n').sort(), [
    'A /data/mine',
    'C /data',
    'D /data/file',
  ]);
  await engine.ok('commit', 'box', 'committed');
  const archive = join(engine.folder, 'saved.tar');
  await engine.ok('save', '-o', archive, 'committed');
  await engine.ok('rm', 'box');
  await engine.ok('rmi', 'committed', 'built', 'busybox');
  await engine.ok('image', 'prune', '-af');
  await engine.ok('builder', 'prune', '-af');
  await engine.ok('load', '-i', archive);
  const files = await engine.ok('run', '--rm', 'committed', 'ls', '/data', '/etc');
  assert.equal(files.replace(/\s+/g, ' '), '/data: made mine /etc: hostname hosts passwd resolv.conf');

  const snapshots = join(engine.folder, 'root/snapshots/erofs');
  const contents = (): string[][] =>
    readdirSync(snapshots)
      .filter((name) => /^[0-9a-f]{64}$/.test(name))
      .map((name) => [...readdirSync(join(snapshots, name)), ...readdirSync(join(snapshots, name, 'diff'))]);
  const archiveOnly = ['diff', 'diff.tar', 'index.erofs', 'snapshot.json'];
  await eventually('only archives are kept, and none is mounted', () =>
    contents().every((names) => names.sort().join() === archiveOnly.join()),
  );
  assert.ok(contents().length >= 4, JSON.stringify(contents()));
  assert.deepEqual(mountsBelow(snapshots), []);
});

test('a container on erofs lives through the death of its engine, and its layers are unmounted with it', async () => {
  await using engine = await startWithErofs();
  await engine.ok('run', '-d', '--name', 'one', 'busybox', 'sleep', '1000');
  await engine.ok('run', '-d', '--name', 'two', 'busybox', 'sleep', '1000');
  await engine.down('SIGKILL');
  await engine.up(flag);
  const snapshots = join(engine.folder, 'root/snapshots/erofs');
  const count = (type: string): number =>
    mountsBelow(snapshots).filter((entry) => entry.type === type).length;
  assert.deepEqual([count('erofs'), count('overlay')], [1, 2]);
  assert.equal(await engine.ok('exec', 'one', 'cat', '/etc/group'), 'root:x:0:\nuser:x:1000:');
  await engine.ok('rm', '-f', 'one');
  assert.deepEqual([count('erofs'), count('overlay')], [1, 1]);
  assert.equal(await engine.ok('exec', 'two', 'echo', 'still here'), 'still here');
  await engine.ok('rm', '-f', 'two');
  await eventually('nothing is mounted', () => mountsBelow(snapshots).length === 0);
});
