import assert from 'node:assert/strict';
import { test } from 'node:test';
import { completeHostConfig } from './host-config.ts';
import { parseBind, parseMount, wantedMounts } from './mount-requests.ts';
import { mergeSettings } from './settings.ts';

test('reads -v in all its forms', () => {
  const anonymous = parseBind('/data');
  assert.deepEqual([anonymous.type, anonymous.source, anonymous.destination], ['volume', undefined, '/data']);
  const named = parseBind('vol:/data:ro,nocopy');
  assert.deepEqual([named.type, named.source, named.readOnly, named.noCopy], ['volume', 'vol', true, true]);
  const bind = parseBind('/host/../host/x:/data/:rshared');
  assert.deepEqual(
    [bind.type, bind.source, bind.destination, bind.propagation, bind.createHostFolder],
    ['bind', '/host/x', '/data', 'rshared', true],
  );
});

test('refuses bad ones in Docker’s words', () => {
  for (const bad of ['', 'a:b', ':/x', '/a:', '/a:/', '/a:/b:bogus', '/a:/b:ro,rw', '/a:/b:ro:x']) {
    assert.throws(() => parseBind(bad), /invalid volume specification|includes invalid/, bad);
  }
  assert.throws(() => parseBind('no/path:/x'), /If you intended to pass a host directory, use absolute path/);
});

test('reads --mount; a bind does not make its source', () => {
  const bind = parseMount({ Type: 'bind', Source: '/src', Target: '/dst', ReadOnly: true });
  assert.deepEqual([bind.createHostFolder, bind.readOnly, bind.propagation], [false, true, 'rprivate']);
  assert.deepEqual(
    parseMount({ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 4096, Mode: 0o700 } }).options,
    ['size=4096', 'mode=700'],
  );
  assert.throws(() => parseMount({ Type: 'bind', Target: '/x' }), /field Source must not be empty/);
  assert.throws(() => parseMount({ Type: 'volume', Target: '' }), /field Target must not be empty/);
  assert.throws(() => parseMount({ Type: 'image', Target: '/x' }), { kind: 'not-implemented' });
});

test('of one destination the explicit mount wins over the image’s volume; two explicit ones collide', () => {
  const config = mergeSettings({ Cmd: ['x'], Volumes: { '/data': {}, '/other': {} } }, {}, 'a'.repeat(64));
  const host = completeHostConfig({ Binds: ['/h:/data'] });
  const found = wantedMounts(config, host, []);
  assert.deepEqual(
    found.map(({ type, destination }) => `${type} ${destination}`),
    ['bind /data', 'volume /other'],
  );
  assert.throws(
    () => wantedMounts(config, completeHostConfig({ Binds: ['/h:/d', '/i:/d'] }), []),
    /Duplicate mount point: \/d/,
  );
});
