import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EngineEvent, EventBus } from './events.ts';

async function actions(stream: AsyncIterable<EngineEvent>): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of stream) seen.push(event.action);
  return seen;
}

test('gives kept events since a moment, then new ones, in order', async () => {
  const bus = new EventBus();
  bus.publish('container', 'old', 'x');
  const middle = bus.publish('container', 'middle', 'x');
  const stop = new AbortController();
  const stream = bus.subscribe({ since: middle.time, signal: stop.signal });
  bus.publish('container', 'new', 'x');
  stop.abort();
  assert.deepEqual(await actions(stream), ['middle', 'new']);
});

test('without since only what comes is told, and only what matches', async () => {
  const bus = new EventBus();
  bus.publish('container', 'before', 'x');
  const stream = bus.subscribe({ matches: (event) => event.type === 'image' });
  bus.publish('container', 'other', 'x');
  bus.publish('image', 'pull', 'x');
  bus.close();
  assert.deepEqual(await actions(stream), ['pull']);
});

test('an until in the past ends at once, one in the future when it comes', async () => {
  const bus = new EventBus();
  const first = bus.publish('container', 'first', 'x');
  const second = bus.publish('container', 'second', 'x');
  assert.deepEqual(await actions(bus.subscribe({ since: first.time, until: first.time })), ['first']);
  const soon = bus.subscribe({ since: second.time, until: second.time + 50_000_000n });
  assert.deepEqual(await actions(soon), ['second']);
  assert.equal(bus.subscribers, 0);
});

test('times never repeat or go back', () => {
  const bus = new EventBus();
  const times = Array.from({ length: 1000 }, () => bus.publish('daemon', 'tick', 'x').time);
  assert.ok(times.every((time, index) => index === 0 || time > (times[index - 1] as bigint)));
});

test('a subscriber that left is forgotten', async () => {
  const bus = new EventBus();
  const stop = new AbortController();
  bus.subscribe({ signal: stop.signal });
  assert.equal(bus.subscribers, 1);
  stop.abort();
  assert.equal(bus.subscribers, 0);
});
