import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../oci/index.ts';
import { State } from '../state/index.ts';
import { builderSchema } from './schema.ts';
import { explainMiss, StepCache, type StepInputs, stepKey } from './step-cache.ts';

const inputs: StepInputs = {
  before: digestOf('state'),
  text: 'COPY run.sh /',
  effective: '…',
  args: ['A=1'],
  content: digestOf('content'),
  files: { 'run.sh': 'aa', b: 'bb' },
};

const changes: readonly (readonly [what: string, change: Partial<StepInputs>, reason: string])[] = [
  ['a file', { content: digestOf('x'), files: { 'run.sh': 'cc', b: 'bb' } }, 'content of run.sh changed'],
  ['more files', { content: digestOf('x'), files: { 'run.sh': 'aa', c: 'cc' } }, 'c added; b removed'],
  ['an argument', { args: ['A=2'] }, 'build argument A changed'],
  ['the state', { before: digestOf('other') }, 'an earlier step or the base image changed'],
  ['the text', { text: 'COPY other /' }, 'the instruction is new here'],
  ['a value', { effective: '?' }, 'the values in the instruction changed'],
];

for (const [what, change, reason] of changes) {
  test(`a change of ${what} is another key, and is named`, () => {
    using state = new State(':memory:');
    state.migrate(builderSchema);
    const cache = new StepCache(state);
    const image = digestOf('image');
    cache.put(inputs, {
      image,
      parentImage: undefined,
      diffId: undefined,
      layers: [],
      created: '',
      createdBy: '',
      size: 0,
    });
    const changed = { ...inputs, ...change };
    assert.equal(cache.get(stepKey(inputs))?.image, image);
    assert.equal(cache.get(stepKey(changed)), undefined);
    assert.equal(explainMiss(changed, cache.similar(changed)), reason);
  });
}

test('a step without any like it was never built', () => {
  using state = new State(':memory:');
  state.migrate(builderSchema);
  assert.equal(explainMiss(inputs, new StepCache(state).similar(inputs)), 'this step was never built');
});

test('what no build used for long is forgotten', () => {
  using state = new State(':memory:');
  state.migrate(builderSchema);
  const cache = new StepCache(state);
  const result = {
    parentImage: undefined,
    diffId: undefined,
    layers: [],
    created: '',
    createdBy: '',
    size: 0,
  };
  cache.put(inputs, { image: digestOf('image'), ...result });
  cache.expire(Date.now() - 60_000);
  assert.equal(cache.list().length, 1);
  cache.expire(Date.now() + 1);
  assert.equal(cache.list().length, 0);
});
