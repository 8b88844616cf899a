/** Layers that mean harm, through every door by which images come: load, pull and import. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { archive, file, folder, hardlink, symlink } from '../../src/layer/testing/archive.ts';
import { engineCall } from '../support/engine-http.ts';
import { makeImage, ociArchive } from '../support/made-image.ts';
import { assertRefused, climb, type HostileRig, withHostileRig } from './hostile-rig.ts';

let rig: HostileRig;
withHostileRig((made) => {
  rig = made;
});

test('names that climb or start at the root stay inside', async () => {
  const tar = archive(
    file(`${climb}${rig.canary}/file`, 'climbed'),
    file(`${rig.canary}/file`, 'absolute'),
    file(`a/../../../..${rig.canary}/new`, 'zigzag'),
    folder(`${rig.canary}/folder`, 0o700),
  );
  await rig.everyDoor('climbing names', makeImage([tar]), undefined);
});

test('a file through a symbolic link of the same or a lower layer stays inside', async () => {
  const link = symlink('out', rig.canary);
  const relative = symlink('up', `${climb}${rig.canary}`);
  const through = [
    file('out/file', 'x'),
    file('up/file', 'x'),
    file('up/new', 'x'),
    hardlink('out/link2', 'out/file'),
  ];
  await rig.everyDoor('link and file', makeImage([archive(link, relative, ...through)]), undefined);
  await rig.everyDoor(
    'link below file',
    makeImage([archive(link, relative), archive(...through)]),
    undefined,
  );
});

test('a whiteout through a symbolic link deletes nothing outside', async () => {
  const image = makeImage([
    archive(symlink('out', rig.canary)),
    archive(file('out/.wh.file'), file('out/.wh..wh..opq'), file('out/folder/.wh.inner')),
  ]);
  await rig.everyDoor('whiteout through a link', image, undefined);
});

test('hard links to what is outside are refused', async () => {
  for (const target of [join(rig.canary, 'file'), `${climb}${rig.canary}/file`, '/etc/shadow']) {
    await rig.everyDoor(
      `hard link to ${target}`,
      makeImage([archive(hardlink('mine', target))]),
      /link|no such/i,
    );
  }
});

test('whiteouts of a folder by itself or of its parent are refused', async () => {
  for (const name of ['.wh..', '.wh...', 'a/.wh...', '.wh.../x', '.wh.']) {
    await rig.everyDoor(`whiteout ${name}`, makeImage([archive(folder('a'), file(name))]), /whiteout/);
  }
});

test('archives that end early or are none are refused', async () => {
  const tar = archive(file('a', randomBytes(100_000)));
  await rig.everyDoor('truncated tar', makeImage([tar.subarray(0, 60_000)]), /end|trunc|short|cut/i);
  await rig.everyDoor('noise', makeImage([randomBytes(4096)]), /tar|checksum|header|archive/i);
  const gzip = gzipSync(tar, { level: 1 });
  const cut = makeImage([tar], { compressed: [gzip.subarray(0, 60_000)] });
  await rig.harmless('truncated gzip', async () => {
    assertRefused('truncated gzip', await rig.engine.docker('pull', rig.serve(cut)), /gzip|end|trunc|cut/i);
    assertRefused(
      'truncated gzip',
      await rig.engine.dockerInput(ociArchive(cut, 'h:1'), 'load'),
      /gzip|end|trunc|cut/i,
    );
    const half = ociArchive(makeImage([tar]), 'h:1').subarray(0, 50_000);
    assertRefused('truncated archive', await rig.engine.dockerInput(half, 'load'), /end|trunc|cut/i);
  });
});

test('bombs are stopped', async () => {
  const gigabytes = 5;
  const zeros = gzipSync(Buffer.alloc(2 ** 30), { level: 9 });
  const header = archive({ name: 'zeros' }).subarray(0, 512);
  // One entry of many gigabytes: gzip's members follow one another.
  const size = gigabytes * 2 ** 30;
  header.write(size.toString(8).padStart(11, '0'), 124, 'latin1');
  header.fill(' ', 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const bomb = Buffer.concat([
    gzipSync(header),
    ...new Array<Buffer>(gigabytes).fill(zeros),
    gzipSync(Buffer.alloc(1024)),
  ]);
  assert.ok(bomb.length < 10_000_000, `${bomb.length}`);
  const image = makeImage([archive(file('a'))], { compressed: [bomb] });
  await rig.harmless('bomb', async () => {
    assertRefused('pull', await rig.engine.docker('pull', rig.serve(image)), /unpacks to more than/);
    assertRefused(
      'import',
      await rig.engine.dockerInput(bomb, 'import', '-', 'bomb'),
      /unpacks to more than/,
    );
    const build = await engineCall(rig.engine.socket, 'POST', '/v1.45/build?t=bomb', bomb);
    assert.match(build.body, /unpacks to more than/);
  });
});
