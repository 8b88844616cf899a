import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { test } from 'node:test';
import { errno, spreadFolders } from './index.ts';

test('marks a folder for ext4 as the top of unrelated ones, and says where it cannot', () => {
  const folder = mkdtempSync('/var/tmp/varve-flags-');
  const fd = openSync(folder, 'r');
  try {
    const done = spreadFolders(fd);
    if (done < 0) assert.ok(done === -errno.EOPNOTSUPP || done === -errno.ENOTTY, String(done));
    else assert.match(execFileSync('lsattr', ['-d', folder], { encoding: 'utf8' }), /^\S*T\S* /);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});
