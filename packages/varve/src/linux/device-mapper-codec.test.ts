import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type DeviceReply,
  decodeNames,
  decodeReply,
  decodeTable,
  deviceCommand,
  encodeCommand,
  requestNumber,
} from './device-mapper-codec.ts';

/** An answer that only has a payload. */
function answer(payload: Buffer, targetCount = 0): DeviceReply {
  return { ...decodeReply(encodeCommand(deviceCommand.version(), 512)), payload, targetCount };
}

test('numbers its requests as linux/dm-ioctl.h does', () => {
  assert.equal(requestNumber(0), 0xc138fd00);
  assert.equal(requestNumber(deviceCommand.load('x', []).number), 0xc138fd09);
});

test('writes the header and each line of a table where the kernel reads them', () => {
  const lines = [
    { start: 0, length: 2048, type: 'thin', parameters: '252:0 7' },
    { start: 2048, length: 4096, type: 'linear', parameters: '7:0 0' },
  ];
  const buffer = encodeCommand(deviceCommand.load('box', lines), 4096);
  assert.deepEqual(
    [buffer.readUInt32LE(0), buffer.readUInt32LE(12), buffer.readUInt32LE(16)],
    [4, 4096, 312],
  );
  assert.equal(buffer.readUInt32LE(20), 2);
  assert.equal(buffer.toString('latin1', 48, 52), 'box\0');
  const first = buffer.subarray(312);
  assert.equal(first.readBigUInt64LE(8), 2048n);
  assert.equal(first.readUInt32LE(20), 48);
  assert.equal(first.toString('latin1', 24, 29), 'thin\0');
  assert.equal(first.toString('latin1', 40, 48), '252:0 7\0');
  assert.equal(first.readBigUInt64LE(48), 2048n);
  assert.deepEqual(decodeTable(answer(Buffer.from(first), 1)), [lines[0]]);
});

test('keeps udev away from a device that is started or removed', () => {
  for (const command of [deviceCommand.resume('x'), deviceCommand.remove('x')]) {
    assert.equal(encodeCommand(command, 512).readUInt32LE(32), 0xe0000);
  }
});

test('reads the state and the large minor number of a device', () => {
  const buffer = encodeCommand(deviceCommand.status('x'), 512);
  buffer.writeInt32LE(3, 24);
  buffer.writeUInt32LE((1 << 1) | (1 << 5) | (1 << 17), 28);
  buffer.writeBigUInt64LE((252n << 8n) | 0x34n | (0x12n << 20n), 40);
  const { device, openCount, isSuspended, isActive, isGoing, isCut } = decodeReply(buffer);
  assert.deepEqual(device, { major: 252, minor: 0x1234 });
  assert.deepEqual([openCount, isSuspended, isActive, isGoing, isCut], [3, true, true, true, false]);
});

test('reads the names of all devices, and of none', () => {
  const entry = (name: string, next: number): Buffer => {
    const bytes = Buffer.alloc(next === 0 ? 12 + name.length + 1 : next);
    bytes.writeBigUInt64LE(0xfc00n, 0);
    bytes.writeUInt32LE(next, 8);
    bytes.write(name, 12);
    return bytes;
  };
  assert.deepEqual(decodeNames(answer(Buffer.concat([entry('one', 24), entry('two', 0)]))), ['one', 'two']);
  assert.deepEqual(decodeNames(answer(Buffer.alloc(16))), []);
  assert.deepEqual(decodeNames(answer(Buffer.alloc(0))), []);
});

test('stops at a table whose lines point nowhere', () => {
  assert.deepEqual(decodeTable(answer(Buffer.alloc(20), 1)), []);
  assert.equal(decodeTable(answer(Buffer.alloc(64), 5)).length, 1);
});
