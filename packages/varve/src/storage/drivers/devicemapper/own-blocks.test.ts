import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countOwnBlocks, metadataBlockBytes, type ReadBlock } from './own-blocks.ts';

/** Tables made by hand, block by block. */
class Tables {
  readonly #blocks = new Map<bigint, Buffer>();
  readonly read: ReadBlock = (block) => this.#blocks.get(block) ?? Buffer.alloc(metadataBlockBytes);

  superblock(block: number, fields: { held?: number; mappings?: number; details?: number }): void {
    const bytes = Buffer.alloc(metadataBlockBytes);
    bytes.writeBigUInt64LE(27022010n, 32);
    bytes.writeBigUInt64LE(BigInt(fields.held ?? 0), 56);
    bytes.writeBigUInt64LE(BigInt(fields.mappings ?? 0), 320);
    bytes.writeBigUInt64LE(BigInt(fields.details ?? 0), 328);
    this.#blocks.set(BigInt(block), bytes);
  }

  node(block: number, internal: boolean, entries: readonly (readonly [key: number, value: Buffer])[]): void {
    const bytes = Buffer.alloc(metadataBlockBytes);
    const most = 100;
    bytes.writeUInt32LE(internal ? 1 : 2, 4);
    bytes.writeBigUInt64LE(BigInt(block), 8);
    const valueBytes = entries[0]?.[1].length ?? 8;
    [entries.length, most, valueBytes].forEach((value, index) => bytes.writeUInt32LE(value, 16 + index * 4));
    entries.forEach(([key, value], index) => {
      bytes.writeBigUInt64LE(BigInt(key), 32 + index * 8);
      value.copy(bytes, 32 + most * 8 + index * valueBytes);
    });
    this.#blocks.set(BigInt(block), bytes);
  }
}

function number(value: bigint | number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function details(creationTime: number): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(creationTime, 16);
  return bytes;
}

const mapping = (block: number, time: number): Buffer => number((BigInt(block) << 24n) | BigInt(time));

function example(): Tables {
  const tables = new Tables();
  tables.superblock(0, { held: 1, mappings: 99, details: 99 });
  tables.superblock(1, { mappings: 2, details: 3 });
  tables.node(2, false, [
    [1, number(10)],
    [7, number(20)],
  ]);
  tables.node(3, false, [
    [1, details(0)],
    [7, details(5)],
  ]);
  tables.node(10, false, [[0, mapping(1000, 0)]]);
  tables.node(20, true, [
    [0, number(21)],
    [50, number(22)],
  ]);
  tables.node(21, false, [
    [0, mapping(1000, 0)],
    [1, mapping(1001, 4)],
    [2, mapping(2000, 5)],
  ]);
  tables.node(22, false, [
    [50, mapping(1002, 3)],
    [60, mapping(2001, 6)],
    [61, mapping(2002, 9)],
  ]);
  return tables;
}

test('counts the blocks that were mapped since the volume was made', () => {
  assert.equal(countOwnBlocks(example().read, 7), 3);
  assert.equal(countOwnBlocks(example().read, 1), 1);
});

test('says when there is no such volume', () => {
  for (const deviceId of [0, 5, 8]) {
    assert.throws(() => countOwnBlocks(example().read, deviceId), { kind: 'not-found' });
  }
});

test('does not follow tables that are none', () => {
  const nothing = new Tables();
  assert.throws(() => countOwnBlocks(nothing.read, 7), { kind: 'data-loss' });
  const unheld = example();
  unheld.superblock(0, { mappings: 2, details: 3 });
  assert.throws(() => countOwnBlocks(unheld.read, 7), { kind: 'data-loss', message: /held/ });
  const circle = example();
  circle.node(20, true, [[0, number(20)]]);
  assert.throws(() => countOwnBlocks(circle.read, 7), { kind: 'data-loss', message: /no end/ });
  const lost = example();
  lost.node(20, true, [[0, number(77)]]);
  assert.throws(() => countOwnBlocks(lost.read, 7), { kind: 'data-loss', message: /block 77/ });
});
