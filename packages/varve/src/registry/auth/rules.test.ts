import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anonymous, type Identity } from './access-control.ts';
import { glob } from '../../base/index.ts';
import { administers, allowsAnything, denial, evaluate, groupsOf, type Policy, type Rule } from './rules.ts';

const user = (name: string, groups: readonly string[] = []): Identity => ({
  kind: 'user',
  name,
  groups,
  via: 'htpasswd',
});

function policy(...rules: readonly Partial<Rule>[]): Policy {
  return {
    rules: rules.map((rule) => ({
      who: ['everyone'],
      repositories: ['**'],
      actions: ['*'],
      effect: 'allow',
      ...rule,
    })),
    groups: { admins: ['root', 'robot:janitor'] },
  };
}

const may = (
  rules: Policy,
  identity: Identity,
  repository = 'a/b',
  action: 'pull' | 'push' | 'delete' = 'pull',
): boolean => evaluate(rules, identity, repository, action).allowed;

test('matches globs as they are written, and the whole name', () => {
  for (const [pattern, matching, other] of [
    ['team/*', ['team/a'], ['team', 'team/a/b', 'xteam/a']],
    ['team/**', ['team/a', 'team/a/b'], ['team', 'teams/a']],
    ['**/app', ['a/app', 'a/b/app'], ['app', 'a/apps']],
    ['a.b', ['a.b'], ['axb']],
    ['a?b', ['axb'], ['a/b', 'ab']],
    ['**', ['a', 'a/b'], []],
    ['v[12]', [], ['v1']],
  ] as const) {
    for (const name of matching) assert.ok(glob(pattern).matches(name), `${pattern} ${name}`);
    for (const name of other) assert.ok(!glob(pattern).matches(name), `${pattern} ${name}`);
  }
});

test('says what the parts of who mean', () => {
  const robot: Identity = { kind: 'robot', name: 'ci', groups: [], via: 'robot' };
  const cases: readonly (readonly [string, readonly boolean[]])[] = [
    // anonymous, alice, alice of the group dev, robot ci
    ['everyone', [true, true, true, true]],
    ['anonymous', [true, true, true, true]],
    ['authenticated', [false, true, true, true]],
    ['user:alice', [false, true, true, false]],
    ['user:a*', [false, true, true, false]],
    ['user:ci', [false, false, false, false]],
    ['group:dev', [false, false, true, false]],
    ['robot:ci', [false, false, false, true]],
    ['workload:*', [false, false, false, false]],
  ];
  for (const [who, expected] of cases) {
    const rules = policy({ who: [who] });
    const found = [anonymous, user('alice'), user('alice', ['dev']), robot].map((identity) =>
      may(rules, identity),
    );
    assert.deepEqual(found, expected, who);
  }
  assert.equal(may(policy({}, { who: ['anonymous'], effect: 'deny' }), user('alice')), true);
  assert.equal(may(policy({}, { who: ['anonymous'], effect: 'deny' }), anonymous), false);
});

test('denies what nothing speaks of, and names the rule that decided', () => {
  assert.deepEqual(evaluate(policy(), user('alice'), 'a', 'pull'), { allowed: false });
  const rules = policy(
    { repositories: ['x/**'] },
    { name: 'frozen', repositories: ['x/y'], actions: ['push'], effect: 'deny' },
  );
  assert.deepEqual(evaluate(rules, user('alice'), 'x/y', 'push'), {
    allowed: false,
    rule: 'auth.rules[1] (frozen)',
  });
  assert.deepEqual(evaluate(rules, user('alice'), 'x/y', 'pull'), { allowed: true, rule: 'auth.rules[0]' });
  assert.equal(denial(rules, user('alice'), 'x/y', 'push'), 'auth.rules[1] (frozen)');
  assert.equal(denial(rules, user('alice'), 'other', 'push'), undefined);
});

test('puts ${user} where it can be one component of a name, and nowhere else', () => {
  const rules = policy({ repositories: ['people/${user}/**'] });
  assert.equal(may(rules, user('alice'), 'people/alice/x'), true);
  assert.equal(may(rules, user('alice'), 'people/bob/x'), false);
  for (const name of ['*', '**', '', 'bob/x', '..', 'Alice', 'a'.repeat(10) + '/']) {
    assert.equal(may(rules, user(name), 'people/bob/x'), false, name);
  }
  assert.equal(may(rules, { ...user('alice'), kind: 'robot' }, 'people/alice/x'), false);
});

test('makes administrators only of who has everything everywhere', () => {
  assert.equal(administers(policy({ who: ['group:admins'] }), user('root')).allowed, true);
  assert.equal(
    administers(policy({ who: ['group:admins'] }), { ...user('janitor'), kind: 'robot' }).allowed,
    true,
  );
  assert.equal(administers(policy({ who: ['group:admins'] }), user('janitor')).allowed, false);
  assert.equal(administers(policy({ actions: ['pull', 'push', 'delete'] }), user('root')).allowed, false);
  assert.equal(administers(policy({ repositories: ['a/**'] }), user('root')).allowed, false);
  assert.equal(administers(policy({}, { effect: 'deny', who: ['user:root'] }), user('root')).allowed, false);
});

test('decides the same in whatever order the rules stand, and only takes away with a deny', () => {
  const rule = fc.record({
    who: fc.constantFrom(['everyone'], ['user:alice'], ['group:dev'], ['authenticated']),
    repositories: fc.constantFrom(['**'], ['a/*'], ['a/b'], ['c']),
    actions: fc.constantFrom(['pull' as const], ['push' as const, 'pull' as const], ['*' as const]),
    effect: fc.constantFrom('allow' as const, 'deny' as const),
  });
  const identity = fc.constantFrom(anonymous, user('alice'), user('bob', ['dev']));
  fc.assert(
    fc.property(
      fc.array(rule, { maxLength: 6 }),
      identity,
      fc.constantFrom('a/b', 'c', 'd'),
      (rules, who, repository) => {
        const verdict = may(policy(...rules), who, repository);
        assert.equal(may(policy(...rules.toReversed()), who, repository), verdict);
        const withDeny = policy(...rules, { effect: 'deny', repositories: [repository] });
        assert.equal(may(withDeny, who, repository), false);
        if (verdict) assert.equal(may(policy(...rules, {}), who, repository), true);
        if (verdict) assert.equal(allowsAnything(policy(...rules), who), true);
      },
    ),
    { numRuns: 300 },
  );
});

test('puts users and robots in the groups of the configuration, besides those they come with', () => {
  assert.deepEqual(groupsOf(policy(), user('root', ['dev'])), ['dev', 'admins']);
  assert.deepEqual(groupsOf(policy(), { ...user('root'), kind: 'workload' }), []);
});
