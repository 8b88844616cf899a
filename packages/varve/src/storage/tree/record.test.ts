import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../oci/index.ts';
import { formatRecord, parseRecord, type SnapshotRecord } from './record.ts';

const parent = digestOf('parent');

test('reads what it wrote', () => {
  const records: SnapshotRecord[] = [
    { key: 'box', kind: 'active', parent: undefined },
    { key: 'box', kind: 'active', parent },
    { key: 'box', kind: 'active', parent, image: true },
    {
      key: digestOf('x'),
      kind: 'committed',
      parent,
      diffId: digestOf('d'),
      size: 1,
      tarSize: 0,
      plainRoot: true,
    },
  ];
  for (const record of records) assert.deepEqual(parseRecord(formatRecord(record)), record);
});

test('takes nothing for a record that is not one', () => {
  const whole = formatRecord({ key: digestOf('x'), kind: 'committed', parent });
  const broken = [
    '',
    whole.slice(0, 40),
    'null',
    '[]',
    '{}',
    whole.replace('"version":1', '"version":2'),
    whole.replace('committed', 'view'),
    whole.replace(digestOf('x'), 'x'),
    whole.replace(parent, '../../etc'),
    '\0'.repeat(200),
  ];
  for (const text of broken) assert.equal(parseRecord(text), undefined, text);
});
