import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { mountsBelow } from '../../src/linux/index.ts';
import { busyboxTar, eventually, TestEngine } from './harness.ts';

const flag = '--storage-driver=aufs';

/** An engine whose data root has never seen another driver. */
async function startWithAufs(): Promise<TestEngine> {
  const engine = await TestEngine.start();
  await engine.down();
  rmSync(join(engine.folder, 'root'), { recursive: true });
  await engine.up(flag);
  await engine.ok('import', '-c', 'CMD ["sh"]', busyboxTar(engine.folder), 'busybox');
  return engine;
}

test('an engine on aufs builds, runs, compares, commits and lets containers live through its death', async () => {
  await using engine = await startWithAufs();
  assert.equal(await engine.ok('info', '--format', '{{.Driver}}'), 'aufs');
  assert.match(await engine.ok('info', '--format', '{{.DriverStatus}}'), /Dirperm1 Supported true/);

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
    'from the contextmade /etc: hostname hosts passwd resolv.conf /var:',
  );
  await engine.ok('run', '--name', 'box', 'built', 'sh', '-c', 'echo mine > /data/mine; rm /data/file');
  assert.deepEqual((await engine.ok('diff', 'box')).split('\n').sort(), [
    'A /data/mine',
    'C /data',
    'D /data/file',
  ]);
  await engine.ok('commit', 'box', 'committed');
  const files = await engine.ok('run', '--rm', 'committed', 'ls', '/data');
  assert.equal(files.replace(/\s+/g, ' '), 'made mine');

  await engine.ok('run', '-d', '--name', 'lives', 'built', 'sleep', '1000');
  await engine.down('SIGKILL');
  await engine.up(flag);
  await engine.ok('exec', 'lives', 'sh', '-c', 'echo more >> /data/made; cat /data/made | grep more');
  await engine.ok('rm', '-f', 'lives', 'box');

  const snapshots = join(engine.folder, 'root/snapshots/aufs');
  await eventually('nothing is mounted', () => mountsBelow(snapshots).length === 0);
  const layers = readdirSync(join(snapshots, 'diff'));
  assert.ok(layers.length >= 4, layers.join());
  const marks = layers.flatMap(
    (id) => readdirSync(join(snapshots, 'diff', id, '.'), { recursive: true }) as string[],
  );
  assert.ok(marks.includes('etc/.wh.group') && marks.includes('var/.wh..wh..opq'), marks.join());
});
