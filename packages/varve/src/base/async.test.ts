import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Turns } from './async.ts';

test('lets so many tasks run at a time, in order, and goes on after one that fails', async () => {
  const turns = new Turns(2);
  const ends = new Map<string, (error?: Error) => void>();
  const task = (name: string): Promise<void> =>
    turns.run(
      () =>
        new Promise<void>((resolve, reject) => {
          ends.set(name, (error) => (error ? reject(error) : resolve()));
        }),
    );
  const running = ['a', 'b', 'c', 'd'].map(task);
  await turn();
  assert.deepEqual([...ends.keys()], ['a', 'b']);
  ends.get('b')?.(new Error('no'));
  await assert.rejects(running[1] ?? Promise.resolve(), { message: 'no' });
  await turn();
  assert.deepEqual([...ends.keys()], ['a', 'b', 'c']);
  for (const name of ['a', 'c']) ends.get(name)?.();
  await turn();
  ends.get('d')?.();
  await Promise.all([running[0], running[2], running[3]]);
});
