import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { IsalDeflate, IsalInflate, isalAvailable } from '../../linux/index.ts';
import type { Compression } from '../types.ts';
import type { FastGzip } from './codecs.ts';
import { createDeflater } from './deflate.ts';
import { detectCompression } from './detect.ts';
import { createInflater } from './inflate.ts';

const isal: FastGzip | undefined = isalAvailable()
  ? { inflate: () => new IsalInflate(), deflate: () => new IsalDeflate() }
  : undefined;

function inflate(compression: Compression, data: Buffer, step: number, fast?: FastGzip): Buffer {
  const inflater = createInflater(compression, fast);
  const pieces: Buffer[] = [];
  try {
    for (let at = 0; at < data.length; at += step) {
      inflater.push(data.subarray(at, at + step), (piece) => void pieces.push(Buffer.from(piece)));
    }
    inflater.finish();
  } finally {
    inflater.close();
  }
  return Buffer.concat(pieces);
}

function deflate(compression: Compression, data: Buffer, step: number, fast?: FastGzip): Buffer {
  const deflater = createDeflater(compression, undefined, fast);
  const pieces: Buffer[] = [];
  const keep = (piece: Buffer): void => void pieces.push(Buffer.from(piece));
  for (let at = 0; at < data.length; at += step) deflater.push(data.subarray(at, at + step), keep);
  deflater.finish(keep);
  deflater.close();
  return Buffer.concat(pieces);
}

/** 5 MB of something between text and noise. */
function sample(): Buffer {
  const data = Buffer.alloc(5_000_003);
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    data[i] = i % 64 < 40 ? 0x61 + (i % 26) : state >> 16;
  }
  return data;
}
const data = sample();

const ways: readonly (readonly [string, Compression, FastGzip | undefined])[] = [
  ['gzip by zlib', 'gzip', undefined],
  ...(isal ? ([['gzip by ISA-L', 'gzip', isal]] as const) : []),
  ['zstd', 'zstd', undefined],
  ['none', 'none', undefined],
];

test('ISA-L is there, so that its tests run', () => {
  assert.ok(isal, 'install libisal2');
});

for (const [name, compression, fast] of ways) {
  const packed =
    compression === 'none' ? data : compression === 'gzip' ? gzipSync(data) : zstdCompressSync(data);

  test(`${name}: reads in pieces of any size`, () => {
    for (const step of [packed.length, 1 << 18, 4099]) {
      assert.ok(inflate(compression, packed, step, fast).equals(data), `pieces of ${step}`);
    }
  });

  test(`${name}: what is written reads back, and does not depend on the pieces`, () => {
    const whole = deflate(compression, data, data.length, fast);
    assert.ok(inflate(compression, whole, 100_000).equals(data), 'by Node’s library');
    assert.ok(inflate(compression, whole, 100_000, fast).equals(data));
    for (const step of [1 << 20, 77_777, 4096]) {
      assert.ok(deflate(compression, data, step, fast).equals(whole), `pieces of ${step}`);
    }
    assert.equal(inflate(compression, deflate(compression, Buffer.alloc(0), 1, fast), 10, fast).length, 0);
  });

  if (compression === 'none') continue;
  const small = compression === 'gzip' ? gzipSync('small') : zstdCompressSync('small');

  test(`${name}: goes from one member to the next`, () => {
    const members = Buffer.concat([packed, small, small, packed]);
    const expected = Buffer.concat([data, Buffer.from('smallsmall'), data]);
    for (const step of [members.length, 1 << 18]) {
      assert.ok(inflate(compression, members, step, fast).equals(expected), `pieces of ${step}`);
    }
    const tiny = Buffer.concat([small, small, small]);
    for (const step of [1, 2, 3, 7]) {
      assert.equal(inflate(compression, tiny, step, fast).toString(), 'smallsmallsmall', `pieces of ${step}`);
    }
  });

  test(`${name}: says what is wrong with the data`, () => {
    const cut =
      (length: number): (() => unknown) =>
      () =>
        inflate(compression, packed.subarray(0, length), 65_536, fast);
    for (const length of [1, 9, 5000, packed.length - 9, packed.length - 1]) {
      assert.throws(cut(length), { code: 'COMPRESSION_TRUNCATED', kind: 'invalid' }, `${length} bytes`);
    }
    assert.throws(() => inflate(compression, Buffer.alloc(0), 1, fast), { code: 'COMPRESSION_TRUNCATED' });
    const garbage = Buffer.concat([small, Buffer.from('garbage after the end')]);
    assert.throws(() => inflate(compression, garbage, 10_000, fast), { code: 'COMPRESSION_TRAILING' });
    assert.throws(() => inflate(compression, Buffer.from('neither of the two'.repeat(9)), 100, fast), {
      code: 'COMPRESSION_DAMAGED',
    });
    const flipped = Buffer.from(packed);
    flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] as number) ^ 0x55;
    assert.throws(() => inflate(compression, flipped, 65_536, fast), { code: 'COMPRESSION_DAMAGED' });
  });
}

test('zeros after gzip data are padding', () => {
  for (const fast of [undefined, isal]) {
    const padded = Buffer.concat([gzipSync('x'), Buffer.alloc(10_000)]);
    for (const step of [1, 100, 20_000]) assert.equal(inflate('gzip', padded, step, fast).toString(), 'x');
  }
});

test('a zstd frame that asks for more than 128 MiB of window is refused', () => {
  // The window descriptor: 2^(10+n) in its upper five bits (RFC 8878, 3.1.1.1.2).
  const wide = Buffer.from('28b52ffd00a0010000', 'hex');
  assert.throws(() => inflate('zstd', wide, 100), { code: 'COMPRESSION_DAMAGED' });
});

test('compression is known by its first bytes', () => {
  assert.equal(detectCompression(gzipSync('')), 'gzip');
  assert.equal(detectCompression(zstdCompressSync('')), 'zstd');
  assert.equal(detectCompression(Buffer.from('502a4d1804000000', 'hex')), 'zstd', 'a skippable frame');
  assert.equal(detectCompression(Buffer.from('bin/sh\0')), 'none');
  assert.equal(detectCompression(Buffer.alloc(0)), 'none');
  assert.throws(() => detectCompression(Buffer.from('fd377a585a00', 'hex')), /xz/);
  assert.throws(() => detectCompression(Buffer.from('BZh91AY')), /bzip2/);
});
