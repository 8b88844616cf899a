/** Build contexts that mean harm. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { archive, file, hardlink, symlink } from '../../src/layer/testing/archive.ts';
import { engineCall } from '../support/engine-http.ts';
import { climb, type HostileRig, withHostileRig } from './hostile-rig.ts';

let rig: HostileRig;
withHostileRig((made) => {
  rig = made;
});

test('a build context stays in its folder, and its Dockerfile is a file of it', async () => {
  const from = file(
    'Dockerfile',
    'FROM busybox\nCOPY . /ctx/\nRUN cat /ctx/file /ctx/link/file 2>&1; true\n',
  );
  const bad = archive(
    from,
    file(`${climb}${rig.canary}/file`, 'climbed'),
    file(`${rig.canary}/new`, 'x'),
    symlink('link', rig.canary),
    file('link/file', 'through'),
    hardlink('hard', 'Dockerfile'),
  );
  await rig.harmless('context', async () => {
    const answer = await engineCall(rig.engine.socket, 'POST', '/v1.45/build?t=h:1&rm=1', bad);
    assert.doesNotMatch(answer.body, /untouched/, 'a file of the host was read');
    assert.match(answer.body, /Successfully built|error/);
    await rig.engine.docker('rmi', 'h:1');
    await rig.engine.ok('builder', 'prune', '-f');
  });
  await rig.harmless('pipes in a context', async () => {
    const context = archive(
      file('Dockerfile', 'FROM busybox\nCOPY . /x'),
      { name: '.dockerignore', type: 'fifo' },
      { name: 'pipe', type: 'fifo' },
    );
    const answer = await engineCall(rig.engine.socket, 'POST', '/v1.45/build?t=h:1', context);
    assert.match(answer.body, /Successfully built|error/);
    await rig.engine.docker('rmi', 'h:1');
    await rig.engine.ok('builder', 'prune', '-f');
  });
  const refused: [string, Buffer][] = [
    ['Dockerfile by link', archive(symlink('Dockerfile', '/etc/shadow'))],
    ['Dockerfile by climbing link', archive(symlink('Dockerfile', `${climb}etc/passwd`))],
    ['Dockerfile that is a pipe', archive({ name: 'Dockerfile', type: 'fifo' })],
    ['hard link outside', archive(from, hardlink('h', '/etc/shadow'))],
    ['COPY of a path outside', archive(file('Dockerfile', `FROM busybox\nCOPY ${climb}etc/shadow /x`))],
    [
      'COPY through a link',
      archive(symlink('out', rig.canary), file('Dockerfile', 'FROM busybox\nCOPY out/file /x\nRUN cat /x')),
    ],
    ['truncated', archive(from, file('a', randomBytes(50_000))).subarray(0, 30_000)],
    ['noise', randomBytes(5000)],
    ['a Dockerfile of 40 MB', archive(file('Dockerfile', Buffer.alloc(40_000_000, '#')))],
    ['nothing', Buffer.alloc(0)],
  ];
  for (const [what, bytes] of refused) {
    await rig.harmless(what, async () => {
      const { status, body } = await engineCall(rig.engine.socket, 'POST', '/v1.45/build?t=h:1', bytes);
      assert.ok(status >= 400 ? status < 500 : /"error"/.test(body), `${what}: ${status} ${body}`);
      assert.doesNotMatch(body, /untouched|root:x|internal|TypeError/, what);
      await rig.engine.ok('builder', 'prune', '-f');
    });
  }
});
