import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { archive, file } from '../../src/layer/testing/archive.ts';
import { eventually, TestEngine } from '../engine/harness.ts';
import { makeImage, ociArchive } from '../support/made-image.ts';

let engine: TestEngine;
let folder = '';

before(async () => {
  folder = mkdtempSync('/var/tmp/varve-docker-build-');
  engine = await TestEngine.start();
});

after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function context(name: string, files: Readonly<Record<string, string>>): string {
  const root = join(folder, name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

/** Mounts and upper folders that builds left on the disk. */
function leftovers(): readonly string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((target) => target.startsWith(join(engine.folder, 'root')));
  const builds = join(engine.folder, 'root/builder/builds');
  return [...mounts, ...(existsSync(builds) ? readdirSync(builds) : [])];
}

test('runs steps in containers: mounts, here-documents, users, networks, limits', async () => {
  const root = context('steps', {
    Dockerfile: `FROM busybox AS tools
RUN echo tool > /tool
FROM busybox
RUN --mount=type=cache,target=/cache --mount=type=bind,from=tools,target=/tools cp /tools/tool /cache/kept
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/t cat /cache/kept && grep /t /proc/mounts
RUN <<-EOF
	#!/bin/sh
	echo script $0
EOF
RUN --network=none ip addr | grep -c LOOPBACK
USER user
RUN id -un && ulimit -n && grep -c 9.9.9.9 /etc/hosts && df /dev/shm | tail -n 1
`,
  });
  const flags = [
    '--ulimit',
    'nofile=99:99',
    '--add-host',
    'nine:9.9.9.9',
    '--shm-size',
    '32m',
    '--memory',
    '64m',
  ];
  const output = await engine.ok('build', ...flags, '-t', 'steps', root);
  for (const line of [/^tool$/m, /^script \/dev\/pipes\/EOF$/m, /^user\n99\n1\nshm +32768/m])
    assert.match(output, line);
  assert.equal(
    await engine.ok('run', '--rm', 'steps', 'ls', '/'),
    'bin\ndev\netc\nproc\nroot\nsys\ntmp\nvar',
  );
  // The client of `run --rm` does not wait for the last unmount.
  await eventually('nothing of it is left', () => leftovers().length === 0);
});

test('takes its context in every form the client sends', async () => {
  const root = context('forms', {
    Dockerfile: 'FROM busybox\nCOPY file /\n',
    file: 'content',
    'sub/Other': 'FROM busybox\nENV other=1\n',
  });
  assert.match(await engine.ok('build', '-f', join(root, 'sub/Other'), root), /ENV other=1/);
  const archive = execFileSync('tar', ['-C', root, '-cJf', '-', '.']);
  const sent = await engine.dockerInput(archive, 'build', '-t', 'sent', '-');
  assert.equal(sent.code, 0, sent.stderr);
  assert.equal(await engine.ok('run', '--rm', 'sent', 'cat', '/file'), 'content');
  const alone = await engine.dockerInput('FROM busybox\nENV alone=1\n', 'build', '-');
  assert.match(alone.stdout, /Successfully built/);
});

test('copies from an image what is in it, however alike another image’s files look', async () => {
  for (const word of ['one', 'two', 'six']) {
    const image = makeImage([archive(file('word', word))]);
    const loaded = await engine.dockerInput(ociArchive(image, `alike:${word}`), 'load');
    assert.equal(loaded.code, 0, loaded.stderr);
    const dockerfile = `FROM alike:${word} AS from\nFROM busybox\nCOPY --from=from /word /\n`;
    const built = await engine.dockerInput(dockerfile, 'build', '-t', `copied:${word}`, '-');
    assert.equal(built.code, 0, built.stderr);
    assert.equal(await engine.ok('run', '--rm', `copied:${word}`, 'cat', '/word'), word);
  }
});

test('gives the id quietly, and the reason of a miss to who asks', async () => {
  const root = context('quiet', { Dockerfile: 'FROM busybox\nCOPY file /\n', file: 'one' });
  const idFile = join(folder, 'id');
  const id = await engine.ok('build', '-q', '--iidfile', idFile, root);
  assert.match(id, /^sha256:[0-9a-f]{64}$/);
  assert.equal(readFileSync(idFile, 'utf8').trim(), id);
  writeFileSync(join(root, 'file'), 'two');
  const archive = execFileSync('tar', ['-C', root, '-cf', '-', '.']);
  const stream = execFileSync(
    'curl',
    [
      '-s',
      '--unix-socket',
      engine.socket,
      '-H',
      'Content-Type: application/x-tar',
      '--data-binary',
      '@-',
      'http://d/v1.45/build',
    ],
    { input: archive, encoding: 'utf8' },
  );
  assert.match(stream, /"reason":"COPY file \/: content of file changed"/);
});

test('a client that goes away ends the step', async () => {
  const root = context('cancel', { Dockerfile: 'FROM busybox\nRUN echo begun && sleep 1000\n' });
  const child = engine.begin(['build', root]);
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await eventually('the step runs', () => output.includes('begun\n'));
  child.kill('SIGINT');
  await eventually('nothing of it is left', () => leftovers().length === 0);
});

test('an engine killed in the middle of a build starts clean and builds again', async () => {
  const wait = join(folder, 'crash/Dockerfile');
  const root = context('crash', {
    Dockerfile: 'FROM busybox\nRUN echo kept > /kept\nRUN echo begun && sleep 1000\n',
  });
  const child = engine.begin(['build', root]);
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  await eventually('the step runs', () => output.includes('begun\n'));
  await engine.down('SIGKILL');
  await engine.up();
  assert.deepEqual(leftovers(), []);
  writeFileSync(wait, 'FROM busybox\nRUN echo kept > /kept\nRUN cat /kept\n');
  assert.match(await engine.ok('build', root), /Using cache[^]*^kept$/m);
});
