import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseContainerName, randomName } from './names.ts';

test('a random name follows Docker’s form and avoids taken ones', () => {
  const seen = new Set<string>();
  for (let count = 0; count < 300; count++) {
    const name = randomName((candidate) => seen.has(candidate));
    assert.match(name, /^[a-z]+_[a-z]+\d*$/);
    assert.ok(!seen.has(name));
    seen.add(parseContainerName(name));
  }
});

test('gets a digit when all plain names are taken', () => {
  assert.match(
    randomName((name) => !/\d/.test(name)),
    /^[a-z]+_[a-z]+\d+$/,
  );
});

test('takes one leading slash off and refuses what is no name', () => {
  assert.equal(parseContainerName('/web'), 'web');
  for (const bad of ['', 'a', '_x', '-x', 'a b', 'a/b', 'ä1', '//x', 'x\n']) {
    assert.throws(() => parseContainerName(bad), { kind: 'invalid' }, bad);
  }
});
