import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedWork } from './shared-work.ts';

/** Work that ends when told to, and notes when it was cancelled. */
class Task {
  readonly #end = Promise.withResolvers<string>();
  starts = 0;
  cancelled = 0;

  readonly run = (signal: AbortSignal): Promise<string> => {
    this.starts++;
    signal.addEventListener('abort', () => {
      this.cancelled++;
    });
    return this.#end.promise;
  };

  end(result: string): void {
    this.#end.resolve(result);
  }
}

test('callers of one key share the work, others have their own', async () => {
  const shared = new SharedWork<string>();
  const [task, other] = [new Task(), new Task()];
  const all = [
    shared.run('a', undefined, task.run),
    shared.run('a', undefined, task.run),
    shared.run('b', undefined, other.run),
  ];
  task.end('done');
  other.end('other');
  assert.deepEqual(await Promise.all(all), ['done', 'done', 'other']);
  assert.deepEqual([task.starts, other.starts], [1, 1]);
});

test("a failure is everybody's, and the next caller tries again", async () => {
  const shared = new SharedWork<string>();
  const fail = (): Promise<string> => Promise.reject(new Error('no'));
  const both = await Promise.allSettled([shared.run('a', undefined, fail), shared.run('a', undefined, fail)]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  assert.equal(await shared.run('a', undefined, async () => 'yes'), 'yes');
});

test('work is cancelled with its last caller, who learns of it when the work has ended', async () => {
  const shared = new SharedWork<string>();
  const task = new Task();
  const [first, last] = [new AbortController(), new AbortController()];
  const leaver = shared.run('a', first.signal, task.run);
  let lastEnded = false;
  const stayer = shared.run('a', last.signal, task.run).finally(() => {
    lastEnded = true;
  });
  stayer.catch(() => undefined);
  first.abort();
  await assert.rejects(leaver, { kind: 'cancelled' });
  assert.equal(task.cancelled, 0);
  last.abort();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  assert.deepEqual([task.cancelled, lastEnded], [1, false]);
  const next = shared.run('a', undefined, async () => 'anew');
  task.end('too late');
  await assert.rejects(stayer, { kind: 'cancelled' });
  assert.equal(await next, 'anew');
});

test('a caller that is cancelled already starts nothing', async () => {
  const task = new Task();
  await assert.rejects(new SharedWork<string>().run('a', AbortSignal.abort(), task.run), {
    kind: 'cancelled',
  });
  assert.equal(task.starts, 0);
});
