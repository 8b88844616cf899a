import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aufsOptions, kernelHasAufs } from './kernel-aufs.ts';

test('knows a kernel with aufs by its list of file systems', () => {
  assert.ok(kernelHasAufs('nodev\tsysfs\n\text4\nnodev\taufs\n'));
  assert.ok(!kernelHasAufs('nodev\tsysfs\nnodev\tnaufs\n\taufs2\n'));
});

test('names branches from the top down with their rights', () => {
  assert.deepEqual(aufsOptions('/rw', ['/b', '/a']), {
    mount: 'br:/rw=rw:/b=ro+wh:/a=ro+wh,dio,xino=/dev/shm/aufs.xino,dirperm1',
    remounts: [],
  });
  assert.match(aufsOptions(undefined, ['/b', '/a']).mount, /^br:\/b=ro\+wh:\/a=ro\+wh,/);
});

test('adds branches by remounts when a page does not hold them, each of which fits one', () => {
  for (const length of [20, 90, 97, 98, 99, 200]) {
    for (const count of [41, 42, 43, 128]) {
      const paths = Array.from({ length: count }, (_, i) => `/${i}`.padEnd(length, 'x'));
      const { mount, remounts } = aufsOptions('/rw', paths);
      for (const text of [mount, ...remounts]) assert.ok(Buffer.byteLength(text) < 4096, String(text.length));
      const first = mount.slice(3, mount.indexOf(',dio')).split(':');
      const added = remounts.flatMap((text) => text.split(',').map((item) => item.replace(/^append:/, '')));
      assert.deepEqual([...first, ...added], ['/rw=rw', ...paths.map((path) => `${path}=ro+wh`)]);
    }
  }
});
