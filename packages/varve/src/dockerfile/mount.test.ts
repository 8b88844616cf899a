import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMount } from './index.ts';

test('reads a cache mount with all its options', () => {
  assert.deepEqual(parseMount('type=cache,id=a,"target=/x,y",sharing=locked,mode=0755,uid=1,gid=2'), {
    type: 'cache',
    id: 'a',
    target: '/x,y',
    sharing: 'locked',
    readOnly: false,
    required: false,
    mode: 0o755,
    uid: 1,
    gid: 2,
  });
});

test('a bind mount is read-only unless told otherwise', () => {
  assert.equal(parseMount('target=/x').readOnly, true);
  assert.equal(parseMount('target=/x,rw').readOnly, false);
  assert.equal(parseMount('target=/x,readonly=false').readOnly, false);
});

for (const text of [
  'type=bind',
  'target=/x,mode=9',
  'target=/x,ro=maybe',
  'type=cache,target=/x,sharing=some',
]) {
  test(`refuses ${text}`, () => {
    assert.throws(() => parseMount(text), { code: 'DOCKERFILE_SYNTAX' });
  });
}
