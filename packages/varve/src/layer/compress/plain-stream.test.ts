import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { plainStream } from './plain-stream.ts';

const zeros = Buffer.alloc(8 << 20);

async function expand(bytes: Buffer, maxRatio: number): Promise<number> {
  let size = 0;
  for await (const chunk of plainStream(Readable.from([bytes]), {
    maxRatio,
    ratioFrom: 1 << 20,
  }))
    size += chunk.length;
  return size;
}

const compressed: Record<string, Buffer> = {
  gzip: gzipSync(zeros),
  zstd: zstdCompressSync(zeros),
  xz: execFileSync('xz', ['-c'], { input: zeros }),
};

for (const [name, bytes] of Object.entries(compressed)) {
  test(`stops a bomb in ${name}, and takes what is within the limits`, async () => {
    await assert.rejects(expand(bytes, 200), { code: 'COMPRESSION_BOMB' });
    assert.equal(await expand(bytes, 1_000_000), zeros.length);
  });
}

test('bytes that are not compressed pass as they are', async () => {
  assert.equal(await expand(zeros, 1), zeros.length);
});
