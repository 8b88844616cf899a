import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually, TestEngine } from './harness.ts';

let engine: TestEngine;
before(async () => {
  engine = await TestEngine.start();
});
after(() => engine[Symbol.asyncDispose]());

async function since(start: number, ...filters: string[]): Promise<string[]> {
  const text = await engine.ok(
    'events',
    '--since',
    String(start),
    '--until',
    String(Date.now() / 1000),
    '--format',
    '{{.Type}} {{.Action}}',
    ...filters.flatMap((filter) => ['--filter', filter]),
  );
  return text === '' ? [] : text.split('\n').map((line) => line.trim());
}

test('tells the life of a container in Docker’s order', async () => {
  const start = Date.now() / 1000;
  await engine.ok('run', '--rm', '-v', '/anonymous', 'busybox', 'true');
  assert.deepEqual(await since(start), [
    'volume create',
    'container create',
    'container attach',
    'volume mount',
    'network connect',
    'container start',
    'network disconnect',
    'volume unmount',
    'container die',
    'volume destroy',
    'container destroy',
  ]);
});

test('filters by type, action, container, image and label', async () => {
  const start = Date.now() / 1000;
  await engine.ok('run', '-d', '--name', 'seen', '--label', 'a=b', 'busybox', 'sleep', '1000');
  await engine.ok('exec', 'seen', 'true');
  await engine.ok('kill', 'seen');
  assert.deepEqual(await since(start, 'event=start'), ['container start']);
  assert.deepEqual(await since(start, 'type=network'), ['network connect', 'network disconnect']);
  assert.deepEqual(await since(start, 'container=seen', 'event=kill', 'event=die'), [
    'container kill',
    'container die',
  ]);
  assert.deepEqual(await since(start, 'label=a=b', 'event=create'), ['container create']);
  assert.deepEqual(await since(start, 'label=a=c'), []);
  assert.deepEqual(await since(start, 'image=busybox', 'event=exec_start'), ['container exec_start: true']);
  await engine.ok('rm', 'seen');
});

test('a follower sees events as they come', async () => {
  const follower = engine.begin(['events', '--format', '{{.Action}}', '--filter', 'type=container']);
  let seen = '';
  follower.stdout?.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  await eventually(
    'it listens',
    async () => (await engine.ok('info', '--format', '{{.NEventsListener}}')) === '1',
  );
  await engine.ok('create', '--name', 'live', 'busybox');
  await eventually('the event', () => seen.includes('create'));
  follower.kill();
  await engine.ok('rm', 'live');
});
