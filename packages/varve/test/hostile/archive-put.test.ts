/** Archives that mean harm, put into a container. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { archive, file, hardlink, symlink } from '../../src/layer/testing/archive.ts';
import { fingerprint } from '../support/data-root.ts';
import { engineCall } from '../support/engine-http.ts';
import { climb, type HostileRig, withHostileRig } from './hostile-rig.ts';

let rig: HostileRig;
withHostileRig((made) => {
  rig = made;
});

test('what is put into a container stays in it', async () => {
  const id = await rig.engine.ok('create', 'busybox', 'sh', '-c', `ln -s ${rig.canary} /out; sleep 1000`);
  await rig.engine.ok('start', id);
  const put = (path: string, tar: Buffer) =>
    engineCall(
      rig.engine.socket,
      'PUT',
      `/v1.45/containers/${id}/archive?path=${encodeURIComponent(path)}`,
      tar,
    );
  const before = fingerprint(rig.canary);
  const tars: [string, Buffer, number][] = [
    ['climbing', archive(file(`${climb}${rig.canary}/file`, 'x'), file(`${rig.canary}/file`, 'x')), 200],
    ['through its own link', archive(symlink('l', rig.canary), file('l/file', 'x'), file('l/new', 'x')), 200],
    ['hard link', archive(hardlink('h', `${rig.canary}/file`), hardlink('h2', '/etc/shadow')), 400],
    ['truncated', archive(file('a', randomBytes(50_000))).subarray(0, 30_000), 400],
    ['noise', randomBytes(5000), 400],
  ];
  for (const [what, tar, status] of tars) {
    for (const path of ['/', '/tmp', '/out/..', `/tmp/${climb}tmp`]) {
      const answer = await put(path, tar);
      if (path === '/out/..') continue;
      assert.equal(answer.status, status, `${what} to ${path}: ${answer.body}`);
    }
    assert.equal(fingerprint(rig.canary), before, what);
  }
  const through = await put('/out', archive(file('file', 'x'), file('new', 'x')));
  assert.ok([200, 400, 404].includes(through.status), through.body);
  assert.equal(fingerprint(rig.canary), before);
  assert.equal((await put('', archive())).status, 400);
  assert.equal((await put('/no/such', archive())).status, 404);
  const whiteout = await put('/tmp', archive(file('.wh..'), file('.wh.x'), file('.wh.../x')));
  assert.equal(whiteout.status, 200, 'names of whiteouts are ordinary here');
  await rig.engine.ok('rm', '-f', id);
});
