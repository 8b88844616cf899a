import assert from 'node:assert/strict';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { busyboxTar, TestEngine } from './harness.ts';

/** Files of the data root that loop devices show. */
function loopFiles(folder: string): string[] {
  return readdirSync('/sys/block')
    .filter((name) => name.startsWith('loop'))
    .flatMap((name) => {
      try {
        return [readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim()];
      } catch {
        return [];
      }
    })
    .filter((path) => path.startsWith(folder));
}

const write = (mebibytes: number): string => `dd if=/dev/zero of=/file bs=1M count=${mebibytes} 2>&1`;

test('a container is kept to its --storage-opt size, over a restart of the engine too', async () => {
  await using engine = await TestEngine.start();
  const limited = ['--storage-opt', 'size=20m'];
  const full = await engine.docker('run', '--name', 'box', ...limited, 'busybox', 'sh', '-c', write(30));
  assert.notEqual(full.code, 0);
  assert.match(full.stdout, /No space left on device|Disk quota exceeded/);
  assert.equal(await engine.ok('inspect', '-f', '{{json .HostConfig.StorageOpt}}', 'box'), '{"size":"20m"}');
  const [size] = (await engine.ok('ps', '-as', '--format', '{{.Size}}')).split('\n');
  assert.match(size ?? '', /^(19|20|21)(\.\d+)?MB \(virtual /);
  assert.equal(await engine.ok('diff', 'box'), 'A /file');
  assert.deepEqual(loopFiles(engine.folder), []);
  await engine.ok('commit', 'box', 'committed');
  assert.match(await engine.ok('run', '--rm', 'committed', 'sh', '-c', write(30)), /30\+0 records out/);

  await engine.ok('run', '-d', '--name', 'lives', ...limited, 'busybox', 'sh', '-c', 'sleep 1000');
  await engine.down('SIGKILL');
  await engine.up();
  assert.equal(await engine.ok('exec', 'lives', 'sh', '-c', 'echo kept > /kept; cat /kept'), 'kept');
  assert.equal(await engine.ok('diff', 'lives'), 'A /kept');
  assert.notEqual((await engine.docker('exec', 'lives', 'sh', '-c', write(30))).code, 0);
  await engine.ok('rm', '-f', 'lives', 'box');
  assert.deepEqual(loopFiles(engine.folder), []);
  await engine.fails(1, /unknown storage option: inodes/, 'create', '--storage-opt', 'inodes=5', 'busybox');
  await engine.fails(1, /invalid size: 'big'/, 'create', '--storage-opt', 'size=big', 'busybox');
});

test('an engine gives its containers a size, and refuses options that its driver lacks', async () => {
  await using engine = await TestEngine.start();
  await engine.down();
  rmSync(join(engine.folder, 'root'), { recursive: true });
  await engine.up('--storage-driver=overlay2', '--storage-opt', 'overlay2.size=20m');
  await engine.ok('import', busyboxTar(engine.folder), 'busybox');
  assert.notEqual((await engine.docker('run', '--rm', 'busybox', 'sh', '-c', write(30))).code, 0);
  const larger = ['run', '--rm', '--storage-opt', 'size=50m', 'busybox', 'sh', '-c', write(30)];
  assert.match(await engine.ok(...larger), /30\+0 records out/);
  await engine.down();
  await assert.rejects(engine.up('--storage-driver=overlay2', '--storage-opt', 'dm.basesize=20G'));
  assert.match(engine.log, /error initializing graphdriver: overlay2: unknown option dm\.basesize/);
});
