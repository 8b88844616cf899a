import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readLayer, writeLayer } from '../index.ts';

test('leaves excluded paths out of a layer, and nothing beside them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-exclude-'));
  try {
    const upper = join(folder, 'upper');
    mkdirSync(join(upper, 'etc'), { recursive: true });
    for (const name of ['hosts', 'hosts.mine']) writeFileSync(join(upper, 'etc', name), '');
    const output = join(folder, 'layer');
    await writeLayer({ kind: 'overlay', upper, lowers: [] }, output, 'none', {
      exclude: ['/etc/hosts', '/proc'],
    });
    const paths = await Array.fromAsync(readLayer({ path: output, compression: 'none' }), ({ path }) => path);
    assert.deepEqual(paths, ['/etc', '/etc/hosts.mine']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
