import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesEtag, parseRange } from './ranges.ts';

const ranges: readonly (readonly [string | undefined, number, unknown])[] = [
  [undefined, 10, undefined],
  ['bytes=0-0', 10, { start: 0, end: 1 }],
  ['bytes=2-4', 10, { start: 2, end: 5 }],
  ['bytes=2-', 10, { start: 2, end: 10 }],
  ['bytes=-4', 10, { start: 6, end: 10 }],
  ['bytes=-40', 10, { start: 0, end: 10 }],
  ['bytes=8-400', 10, { start: 8, end: 10 }],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=5-0', 10, 'unsatisfiable'],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=a-b', 10, 'unsatisfiable'],
  ['bytes=', 10, 'unsatisfiable'],
  ['bytes=99999999999999999999-', 10, 'unsatisfiable'],
  ['bytes=0-1,4-5', 10, undefined],
  ['lines=0-1', 10, undefined],
];

for (const [header, size, expected] of ranges) {
  test(`reads Range ${header ?? '(none)'} of ${size} bytes`, () => {
    assert.deepEqual(parseRange(header, size), expected);
  });
}

test('compares entity tags weakly, in lists and by star', () => {
  assert.equal(matchesEtag('"a"', '"a"'), true);
  assert.equal(matchesEtag('W/"a"', '"a"'), true);
  assert.equal(matchesEtag('"b", "a"', '"a"'), true);
  assert.equal(matchesEtag('*', '"a"'), true);
  assert.equal(matchesEtag('"b"', '"a"'), false);
  assert.equal(matchesEtag(undefined, '"a"'), false);
});
