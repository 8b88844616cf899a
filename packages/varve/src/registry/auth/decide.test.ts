import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, anonymous, type Identity, type Resource } from './access-control.ts';
import { type DecisionRules, decide, narrow, seesRepository, visiblePrefixes } from './decide.ts';
import type { AccessEntry } from './scopes.ts';

const noRules: DecisionRules = { policy: undefined, canAuthenticate: true };
const ruled: DecisionRules = {
  policy: {
    rules: [
      { who: ['user:alice'], repositories: ['a'], actions: ['pull', 'push'], effect: 'allow' },
      { who: ['anonymous'], repositories: ['open'], actions: ['pull'], effect: 'allow' },
      { name: 'closed', who: ['everyone'], repositories: ['closed'], actions: ['*'], effect: 'deny' },
    ],
    groups: {},
  },
  canAuthenticate: true,
};
const alice: Identity = { kind: 'user', name: 'alice', groups: [], via: 'htpasswd' };
const bob: Identity = { ...alice, name: 'bob' };
const robot: Identity = {
  kind: 'robot',
  name: 'ci',
  groups: [],
  via: 'robot',
  grants: [{ repositories: ['a'], actions: ['pull'] }],
};
const holding = (
  identity: Identity,
  issuer: 'embedded' | 'outside',
  ...access: readonly AccessEntry[]
): Identity => ({
  ...identity,
  token: { issuer, access },
});
const scope = (name: string, ...actions: readonly string[]): AccessEntry => ({
  type: 'repository',
  name,
  actions,
});

/** `yes`, `401`, `401 insufficient_scope`, `403`. */
function answer(
  rules: DecisionRules,
  identity: Identity,
  name: string,
  action: Action = 'push',
  type: Resource['type'] = 'repository',
): string {
  const decision = decide(rules, identity, { type, name }, action);
  if (decision.allowed) return 'yes';
  return [decision.retry ? '401' : '403', decision.error].filter(Boolean).join(' ');
}

test('without rules, lets in who is known, robots as far as they were given', () => {
  assert.deepEqual(
    [anonymous, alice, robot].map((identity) => answer(noRules, identity, 'a')),
    ['401', 'yes', '403'],
  );
  assert.equal(answer(noRules, robot, 'a', 'pull'), 'yes');
});

test('tells who may come again with more from who may not', () => {
  const cases: readonly (readonly [Identity, string, string])[] = [
    [anonymous, 'a', '401'],
    [alice, 'a', 'yes'],
    [bob, 'a', '403'],
    [holding(alice, 'embedded', scope('a', 'pull')), 'a', '401 insufficient_scope'],
    [holding(alice, 'embedded', scope('a', 'pull', 'push')), 'a', 'yes'],
    [holding(bob, 'embedded', scope('a', 'pull', 'push')), 'a', '403'],
    [holding(anonymous, 'embedded'), 'a', '401 insufficient_scope'],
    [holding(bob, 'outside', scope('b', '*')), 'b', 'yes'],
    [holding(bob, 'outside', scope('b', 'pull')), 'b', '401 insufficient_scope'],
    [holding(bob, 'outside', scope('closed', '*')), 'closed', '403'],
    [{ ...anonymous, refusal: { reason: 'wrong', scheme: 'bearer' } }, 'open', '401 invalid_token'],
    [{ ...anonymous, refusal: { reason: 'wrong', scheme: 'basic' } }, 'open', '401'],
  ];
  for (const [identity, name, expected] of cases) {
    assert.equal(
      answer(ruled, identity, name),
      expected,
      `${identity.name} ${JSON.stringify(identity.token)} ${name}`,
    );
  }
  // Wrong credentials are not taken for none, even where none are needed.
  const wrong: Identity = { ...anonymous, refusal: { reason: 'wrong', scheme: 'basic' } };
  assert.deepEqual(
    [answer(ruled, anonymous, 'open', 'pull'), answer(ruled, wrong, 'open', 'pull')],
    ['yes', '401'],
  );
});

test('opens the registry itself to any identity or token, and administration to few', () => {
  const base = (identity: Identity, rules = ruled): string =>
    answer(rules, identity, 'base', 'pull', 'registry');
  assert.deepEqual(
    [anonymous, holding(anonymous, 'embedded'), bob].map((identity) => base(identity)),
    ['401', 'yes', 'yes'],
  );
  assert.equal(base(anonymous, { ...ruled, canAuthenticate: false }), 'yes');
  const admin = (identity: Identity): string => answer(ruled, identity, 'admin', 'admin', 'registry');
  assert.deepEqual([anonymous, alice, robot].map(admin), ['401', '403', '403']);
});

test('narrows what is asked for to what may be done', () => {
  assert.deepEqual(
    narrow(ruled, alice, [
      scope('a', 'pull', 'push', 'delete'),
      scope('open', '*'),
      scope('b', 'pull'),
      scope('closed', 'pull'),
    ]),
    [scope('a', 'pull', 'push'), scope('open', 'pull')],
  );
  assert.deepEqual(narrow(noRules, alice, [scope('x', '*')]), [scope('x', 'pull', 'push', 'delete', '*')]);
  assert.deepEqual(
    narrow(ruled, anonymous, [scope('a', '*'), { type: 'registry', name: 'admin', actions: ['*'] }]),
    [],
  );
  assert.deepEqual(narrow(ruled, bob, [{ type: 'repository(plugin)', name: 'open', actions: ['pull'] }]), []);
});

test('shows in listings what may be pulled', () => {
  const seen = (identity: Identity): string[] =>
    ['a', 'open', 'closed', 'z'].filter((name) => seesRepository(ruled, identity, name));
  assert.deepEqual(seen(anonymous), ['open']);
  assert.deepEqual(seen(alice), ['a', 'open']);
  assert.deepEqual(seen(holding(bob, 'outside')), ['a', 'open', 'z']);
  assert.deepEqual(
    [anonymous, alice, robot, holding(bob, 'outside')].map((identity) => visiblePrefixes(ruled, identity)),
    [['open'], ['a', 'open'], ['a', 'open'], ['']],
  );
  assert.deepEqual(
    [anonymous, alice, robot].map((identity) => visiblePrefixes(noRules, identity)),
    [[], [''], ['a']],
  );
});
