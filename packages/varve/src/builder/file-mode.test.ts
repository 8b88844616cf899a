import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMode } from './file-mode.ts';

const table: readonly (readonly [text: string, mode: number, directory: boolean, result: number])[] = [
  ['755', 0o600, false, 0o755],
  ['04755', 0o600, false, 0o4755],
  ['0', 0o777, false, 0],
  ['u+x', 0o644, false, 0o744],
  ['go-rwx', 0o755, false, 0o700],
  ['a=r', 0o751, false, 0o444],
  ['=rw', 0o751, true, 0o666],
  ['u=rwX,go=rX', 0o600, false, 0o644],
  ['u=rwX,go=rX', 0o600, true, 0o755],
  ['u=rwX,go=rX', 0o700, false, 0o755],
  ['+X', 0o644, false, 0o644],
  ['u+s,g+s', 0o755, false, 0o6755],
  ['u-s', 0o4755, false, 0o755],
  ['+t', 0o755, true, 0o1755],
  ['u+x-w', 0o644, false, 0o544],
];

for (const [text, mode, directory, result] of table) {
  test(`${text} makes ${mode.toString(8)}${directory ? ' of a folder' : ''} ${result.toString(8)}`, () => {
    assert.equal(parseMode(text)(mode, directory).toString(8), result.toString(8));
  });
}

for (const text of ['', '888', '77777', 'u', 'x+r', 'u+q', '-1']) {
  test(`refuses the mode "${text}"`, () => assert.throws(() => parseMode(text), { code: 'INVALID_MODE' }));
}
