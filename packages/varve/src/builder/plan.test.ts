import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile } from '../dockerfile/index.ts';
import { type BuildPlan, planBuild } from './plan.ts';

const plan = (source: string, target?: string): BuildPlan =>
  planBuild(parseDockerfile(source), target, { V: '1' }, {});

const file = `FROM a AS base
FROM base AS build
RUN x
FROM b AS unused
FROM scratch AS extra
FROM c
COPY --from=build /x /x
RUN --mount=type=bind,from=extra,target=/y z
`;

test('builds only what the target needs, in the order of the file', () => {
  assert.deepEqual(plan(file).needed, [0, 1, 3, 4]);
  assert.deepEqual(plan(file, 'UNUSED').needed, [2]);
  assert.deepEqual(plan(file, '1').needed, [0, 1]);
});

test('tells images, stages and scratch apart', () => {
  assert.deepEqual(
    plan(file).stages.map(({ base }) => base),
    [
      { kind: 'image', name: 'a' },
      { kind: 'stage', index: 0 },
      { kind: 'image', name: 'b' },
      { kind: 'scratch' },
      { kind: 'image', name: 'c' },
    ],
  );
  assert.deepEqual(plan('FROM x:$V').stages[0]?.base, { kind: 'image', name: 'x:1' });
});

test('a stage cannot take from itself or a later one', () => {
  assert.throws(() => plan('FROM a AS x\nCOPY --from=x a b'), /refers to current build stage/);
  assert.throws(() => plan('FROM a\nCOPY --from=1 a b\nFROM b\nCOPY --from=0 a b'), /invalid stage index 1/);
  assert.throws(() => plan('FROM a\nFROM b', 'none'), {
    message: 'failed to reach build target none in Dockerfile',
  });
  assert.throws(() => plan('FROM $NONE'), /should not be blank/);
});
