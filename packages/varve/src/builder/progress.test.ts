import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VarveError } from '../base/index.ts';
import { digestOf } from '../oci/index.ts';
import { type BuildEvent, legacyProgress } from './index.ts';

const image = digestOf('image');
const events: readonly BuildEvent[] = [
  { type: 'step', index: 1, total: 2, stage: '0', text: 'FROM a' },
  { type: 'image', id: image, text: ' ---> 0123' },
  { type: 'step', index: 2, total: 2, stage: '0', text: 'RUN b' },
  { type: 'cache', index: 2, hit: false, key: image, reason: 'new' },
  { type: 'status', text: ' ---> Running in 1' },
  { type: 'output', stream: 1, data: Buffer.from('caf\xc3', 'latin1') },
  { type: 'output', stream: 1, data: Buffer.from('\xa9\n', 'latin1') },
  { type: 'output', stream: 2, data: Buffer.from('oops\n') },
];

async function* failing(given: readonly BuildEvent[]): AsyncGenerator<BuildEvent> {
  yield* given;
  throw new VarveError('invalid', 'RUN_FAILED', 'it failed', { data: { exitCode: 3 } });
}

async function* done(given: readonly BuildEvent[]): AsyncGenerator<BuildEvent> {
  yield* given;
  yield { type: 'done', image, tags: ['x:latest'] };
}

async function read(lines: AsyncIterable<string>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const line of lines) all.push(JSON.parse(line));
  return all;
}

test('speaks as the classic builder', async () => {
  assert.deepEqual(await read(legacyProgress(done(events))), [
    { stream: 'Step 1/2 : FROM a' },
    { stream: '\n' },
    { stream: ' ---> 0123\n' },
    { stream: 'Step 2/2 : RUN b' },
    { stream: '\n' },
    { stream: ' ---> Running in 1\n', cache: { hit: false, reason: 'new' } },
    { stream: 'caf' },
    { stream: 'é\n' },
    { stream: '\u001b[91moops\n\u001b[0m' },
    { aux: { ID: image } },
    { stream: `Successfully built ${image.slice(7, 19)}\n` },
    { stream: 'Successfully tagged x:latest\n' },
  ]);
});

test('a failure is the last line, with the exit code', async () => {
  const lines = await read(legacyProgress(failing(events)));
  assert.deepEqual(lines.at(-1), { errorDetail: { code: 3, message: 'it failed' }, error: 'it failed' });
});

test('a failure before the first event is thrown', async () => {
  await assert.rejects(read(legacyProgress(failing([]))), { code: 'RUN_FAILED' });
});

test('quiet leaves the id alone', async () => {
  assert.deepEqual(await read(legacyProgress(done(events), { quiet: true })), [{ stream: `${image}\n` }]);
});
