import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBytes } from '../base/index.ts';
import { parseBooleanOption, parseStorageOptions, readStorageOptions } from './options.ts';

test('splits options at the first equals sign, keys in lower case', () => {
  assert.deepEqual(parseStorageOptions(['Overlay2.Size = 10G', 'dm.mkfsarg=-O a=b', 'x=']), [
    ['overlay2.size', '10G'],
    ['dm.mkfsarg', '-O a=b'],
    ['x', ''],
  ]);
  assert.throws(() => parseStorageOptions(['overlay2.size']), {
    kind: 'invalid',
    message: 'unable to parse storage-opt key/value: overlay2.size',
  });
});

test('reads what a driver knows, the last of two counts', () => {
  const readers = { 'overlay2.size': parseBytes, 'overlay2.override_kernel_check': parseBooleanOption };
  const options = parseStorageOptions(['overlay2.size=1g', 'overlay2.size=2g']);
  assert.deepEqual(readStorageOptions('overlay2', options, readers), { 'overlay2.size': 2 ** 31 });
  assert.throws(() => readStorageOptions('overlay2', [['dm.fs', 'xfs']], readers), {
    kind: 'invalid',
    message: 'overlay2: unknown option dm.fs',
  });
  assert.throws(() => readStorageOptions('overlay2', [['constructor', '']], readers), /unknown option/);
  assert.throws(() => readStorageOptions('overlay2', [['overlay2.size', 'big']], readers), /invalid size/);
  assert.throws(
    () => readStorageOptions('overlay2', [['overlay2.override_kernel_check', 'yes']], readers),
    /ParseBool/,
  );
});
