import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import {
  diskReadAhead,
  filesystemReadAhead,
  mountFilesystem,
  setFilesystemReadAhead,
  statAt,
  unmount,
} from './index.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync('/var/tmp/varve-ahead-');
});

afterEach(() => {
  unmount(folder, { detach: true });
  rmSync(folder, { recursive: true });
});

test('says how much is read ahead on the disk of a folder', (context) => {
  const found = statAt(-100, folder);
  assert.ok(typeof found !== 'number');
  const device = `/sys/dev/block/${found.device}`;
  if (!existsSync(device)) return context.skip('/var/tmp is on no single disk');
  const disk = existsSync(`${device}/queue`) ? `${device}/queue` : `${device}/../queue`;
  assert.equal(diskReadAhead(folder), Number(readFileSync(`${disk}/read_ahead_kb`, 'utf8')));
});

test('has no answer for a file system in memory, and sets nothing', () => {
  mountFilesystem('tmpfs', [], folder);
  assert.equal(diskReadAhead(folder), undefined);
  assert.equal(filesystemReadAhead(folder), undefined);
  assert.equal(setFilesystemReadAhead(folder, 256), false);
});
