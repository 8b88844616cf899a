import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectSeqpacket } from './sockets.ts';

test('says when nobody listens, also at a path longer than a socket address', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-sockets-'));
  try {
    await assert.rejects(connectSeqpacket(join(folder, 'attach')), { code: 'ENOENT' });
    const deep = join(folder, 'x'.repeat(100), 'y'.repeat(100));
    mkdirSync(deep, { recursive: true });
    await assert.rejects(connectSeqpacket(join(deep, 'attach')), { code: 'ENOENT' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
