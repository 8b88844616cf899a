import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAuthorization } from './authorization.ts';
import { covers, formatScope, parseScope, parseScopes, readAccessClaim } from './scopes.ts';

test('reads the scopes of Docker’s grammar, and leaves out what is none', () => {
  assert.deepEqual(parseScope('repository:host:5000/a/b:pull,push,pull'), {
    type: 'repository',
    name: 'host:5000/a/b',
    actions: ['pull', 'push'],
  });
  assert.equal(parseScope('repository(plugin):a:pull')?.type, 'repository(plugin)');
  assert.deepEqual(parseScope('registry:catalog:*')?.actions, ['*']);
  for (const text of [
    '',
    'repository',
    'repository:a',
    'repository:a:',
    ':a:pull',
    'repository:a:PULL',
    `repository:${'a'.repeat(2000)}:pull`,
  ]) {
    assert.equal(parseScope(text), undefined, text.slice(0, 40));
  }
  assert.deepEqual(
    parseScopes(['repository:a:pull repository:b:push', 'x', 'registry:catalog:*']).map(formatScope),
    ['repository:a:pull', 'repository:b:push', 'registry:catalog:*'],
  );
  assert.equal(parseScopes(Array.from({ length: 1000 }, (_, n) => `repository:a${n}:pull`)).length, 100);
});

test('covers an action by name, by *, and in no other resource or class', () => {
  const access = [
    { type: 'repository', name: 'a', actions: ['pull'] },
    { type: 'repository', name: 'b', actions: ['*'] },
    { type: 'repository(plugin)', name: 'c', actions: ['pull'] },
  ];
  const may = (name: string, action: 'pull' | 'push' | 'delete'): boolean =>
    covers(access, { type: 'repository', name }, action);
  assert.deepEqual(
    [may('a', 'pull'), may('a', 'push'), may('b', 'delete'), may('c', 'pull')],
    [true, false, true, false],
  );
  assert.equal(covers(access, { type: 'registry', name: 'b' }, 'list'), false);
});

test('takes only an access claim of the right shape', () => {
  assert.deepEqual(readAccessClaim(undefined), []);
  for (const claim of ['all', {}, [1], [{ type: 'repository' }], [{ type: 'r', name: 'a', actions: [1] }]]) {
    assert.equal(readAccessClaim(claim), undefined, JSON.stringify(claim));
  }
});

test('reads Basic with colons and letters of any script, and nobody as nobody', () => {
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
  assert.deepEqual(readAuthorization(basic('ünïcode:pass:word')), {
    scheme: 'basic',
    user: 'ünïcode',
    password: 'pass:word',
  });
  assert.deepEqual(readAuthorization(basic(':')), { scheme: 'none' });
  assert.deepEqual(readAuthorization('bEaReR abc.def'), { scheme: 'bearer', token: 'abc.def' });
  for (const header of [
    'Basic',
    basic('no colon'),
    basic('a\0:b'),
    'Bearer a b',
    'Bearer \u00e9',
    'Negotiate x',
    `Basic ${'A'.repeat(40_000)}`,
  ]) {
    assert.deepEqual(readAuthorization(header), { scheme: 'unknown' }, header.slice(0, 40));
  }
});
