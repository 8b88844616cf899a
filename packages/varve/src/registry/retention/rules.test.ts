import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../oci/index.ts';
import { decideTags, immutableTags, type RetentionRule } from './index.ts';

const hour = 3600 * 1000;
const now = 1000 * hour;

function tag(name: string, hoursAgo: number, pulledHoursAgo?: number) {
  return {
    name,
    digest: digestOf(name),
    updatedAt: now - hoursAgo * hour,
    pulledAt: pulledHoursAgo === undefined ? undefined : now - pulledHoursAgo * hour,
  };
}

function kept(
  rules: readonly RetentionRule[],
  tags: ReturnType<typeof tag>[],
  immutable?: (name: string) => boolean,
) {
  return decideTags(rules, 'ci/app', tags, { now, immutable })
    .filter((item) => item.keep)
    .map((item) => item.tag);
}

const tags = [tag('latest', 50), tag('pr-1', 30), tag('pr-2', 20, 1), tag('pr-3', 10), tag('v1.0', 400)];

test('keeps the newest, the recently pulled and the matching, and says why', () => {
  const rules = [
    { repositories: 'ci/**', tags: ['**'], keep: { newest: 1, pulledwithin: '2h', matching: ['v*'] } },
  ];
  assert.deepEqual(kept(rules, tags), ['pr-2', 'pr-3', 'v1.0']);
  const reasons = decideTags(rules, 'ci/app', tags, { now }).map((item) => item.reason);
  assert.deepEqual(reasons, [
    'rule 1 is about it and nothing keeps it',
    'rule 1 is about it and nothing keeps it',
    'rule 1 keeps it: it was pulled within 2h',
    'rule 1 keeps it: it is one of the newest 1',
    'rule 1 keeps it: it matches v*',
  ]);
});

test('leaves alone what no rule is about', () => {
  const rules = [{ repositories: 'ci/**', tags: ['pr-*', '!pr-1'], keep: { pushedwithin: '12h' } }];
  assert.deepEqual(kept(rules, tags), ['latest', 'pr-1', 'pr-3', 'v1.0']);
  assert.equal(
    decideTags(rules, 'prod/app', tags, { now }).every((item) => item.keep),
    true,
  );
});

test('keeps a tag that any rule about it keeps, and every immutable one', () => {
  const rules = [
    { repositories: '**', tags: ['pr-*'], keep: {} },
    { repositories: '**', tags: ['pr-*'], keep: { newest: 1 } },
  ];
  assert.deepEqual(
    kept(rules, tags, (name) => name === 'pr-1'),
    ['latest', 'pr-1', 'pr-3', 'v1.0'],
  );
});

test('says which tags are immutable', () => {
  const rules = [{ repositories: 'prod/**', tags: ['v*', '!v*-rc*'] }];
  assert.equal(immutableTags(rules, 'ci/app'), undefined);
  const test = immutableTags(rules, 'prod/app');
  assert.deepEqual(
    ['v1', 'v1-rc1', 'latest'].map((name) => test?.(name)),
    [true, false, false],
  );
});
