import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMappedSectors, parsePoolStatus, parsePoolTable, shortage } from './pool-status.ts';

const healthy = '12 34/1024 560/1600 - rw no_discard_passdown error_if_no_space - 256';

test('reads what a pool says of itself', () => {
  assert.deepEqual(parsePoolStatus('pool', healthy), {
    transaction: 12,
    metadata: { used: 34, total: 1024 },
    data: { used: 560, total: 1600 },
    mode: 'rw',
    needsCheck: false,
  });
  const full = '3 9/1024 1600/1600 - out_of_data_space discard_passdown error_if_no_space needs_check 256';
  const { mode, needsCheck } = parsePoolStatus('pool', full);
  assert.deepEqual([mode, needsCheck], ['out_of_data_space', true]);
});

test('a pool that has failed is told of, with what it said', () => {
  for (const text of ['Fail', 'Error', '', '1 2/3', healthy.replace(' rw ', ' read_nothing ')]) {
    assert.throws(() => parsePoolStatus('pool', text), { kind: 'unavailable', code: 'POOL_FAILED' }, text);
  }
});

test('counts the sectors of a volume, none of one that has failed', () => {
  assert.equal(parseMappedSectors('21504 2097151'), 21504);
  assert.equal(parseMappedSectors('Fail'), 0);
});

test('reads the devices under a pool', () => {
  assert.deepEqual(parsePoolTable('7:1 7:0 128 64 1 error_if_no_space'), {
    metadata: '7:1',
    data: '7:0',
    blockSectors: 128,
  });
});

test('a shortage of data or of metadata is one, to the block', () => {
  const status = (data: number, metadata: number) =>
    parsePoolStatus('pool', `1 ${metadata}/1000 ${data}/1000 - rw - error_if_no_space - 1`);
  assert.equal(shortage(status(900, 900), 10), undefined);
  assert.match(
    shortage(status(901, 0), 10) ?? '',
    /has 99 free data blocks .* required 100 free data blocks/,
  );
  assert.match(shortage(status(0, 950), 10) ?? '', /has 50 free metadata blocks/);
  assert.match(shortage(status(1000, 0), 0) ?? '', /has 0 free data blocks/);
});
