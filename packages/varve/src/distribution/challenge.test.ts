import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenges } from './challenge.ts';

function plain(header: string): unknown {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, { ...parameters }]);
}

test('reads one or several challenges', () => {
  assert.deepEqual(plain('Bearer realm="https://auth/token",service="reg",scope="repository:a:pull,push"'), [
    ['bearer', { realm: 'https://auth/token', service: 'reg', scope: 'repository:a:pull,push' }],
  ]);
  assert.deepEqual(plain('BASIC Realm="a \\"quoted\\" one", Bearer realm = plain , error="x"'), [
    ['basic', { realm: 'a "quoted" one' }],
    ['bearer', { realm: 'plain', error: 'x' }],
  ]);
  assert.deepEqual(plain('Negotiate, Basic realm=""'), [
    ['negotiate', {}],
    ['basic', { realm: '' }],
  ]);
  assert.deepEqual(plain(''), []);
  assert.deepEqual(plain('"'), []);
  assert.deepEqual(plain(`Bearer realm="${'x'.repeat(10_000)}"`), []);
});

test('ends on any header', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[A-Za-z=", \\]{0,60}$/)), (header) => {
      for (const { scheme } of parseChallenges(header)) assert.notEqual(scheme, '');
    }),
    { numRuns: 1000 },
  );
});
