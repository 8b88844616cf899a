import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { unmount } from '../../linux/index.ts';
import { imageDiskBytes, imagePaths, makeImage, mountImage } from './image.ts';

const mebibyte = 2 ** 20;

test('an image has the room that was asked for, and takes what is used', async () => {
  for (const size of [8 * mebibyte, 100 * mebibyte, 3000 * mebibyte]) {
    const folder = mkdtempSync('/var/tmp/varve-image-');
    try {
      await makeImage(folder, size);
      mountImage(folder);
      const { root } = imagePaths(folder);
      const { bavail, bsize, ffree } = statfsSync(root);
      const ratio = (bavail * bsize) / size;
      assert.ok(ratio > 0.99 && ratio < 1.01, `${ratio} of ${size}`);
      assert.ok(ffree > size / 4096, `${ffree} inodes`);
      assert.ok(imageDiskBytes(folder) < mebibyte, `${imageDiskBytes(folder)} bytes on disk`);
    } finally {
      unmount(join(folder, 'limited'));
      rmSync(folder, { recursive: true });
    }
  }
});
