import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';
import { type Bundle, bundle } from './bundle.ts';
import { Pair, plain } from './pair.ts';

let built: Bundle;
let pair: Pair;
let registry: HostProcess & { readonly host: string };

before(async () => {
  built = bundle();
  pair = await Pair.start(built.entry);
  registry = await startVarveRegistry(pair.engine.netns, join(pair.engine.folder, 'registry'));
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await pair?.[Symbol.asyncDispose]();
  built?.[Symbol.dispose]();
});

/** A folder of its own with files. */
function folderOf(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(pair.engine.folder, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

test('pushes, pulls and forgets images as docker does', async () => {
  const name = `${registry.host}/box`;
  await pair.ok('tag', 'busybox', `${name}:1`);
  await pair.ok('push', `${name}:1`);
  for (const args of [
    ['push', `${name}:1`],
    ['push', '-q', `${name}:1`],
    ['push', `${name}:nope`],
    ['pull', `${name}:1`],
    ['pull', '-q', `${name}:1`],
    ['pull', `${name}:nope`],
    ['pull', 'BAD'],
  ])
    await pair.sameTwice(args);
});

test('keeps credentials where docker looks for them', async () => {
  const config = join(pair.engine.folder, 'client/config.json');
  await pair.ok('login', '-u', 'me', '-p', 'secret', registry.host);
  const ours = readFileSync(config, 'utf8');
  assert.equal((await pair.docker(['logout', registry.host])).code, 0);
  await pair.docker(['login', '-u', 'me', '--password-stdin', registry.host], { input: 'secret' });
  assert.deepEqual(JSON.parse(ours).auths, JSON.parse(readFileSync(config, 'utf8')).auths);
  await pair.ok('logout', registry.host);
  assert.deepEqual(JSON.parse(readFileSync(config, 'utf8')).auths ?? {}, {});
});

test('saves what docker loads, and loads what docker saves', async () => {
  const { folder } = pair.engine;
  await pair.ok('tag', 'busybox', 'box:saved');
  for (const [save, load] of [
    [pair.varve.bind(pair), pair.docker.bind(pair)],
    [pair.docker.bind(pair), pair.varve.bind(pair)],
  ] as const) {
    const file = join(folder, 'saved.tar');
    assert.equal((await save(['save', '-o', file, 'box:saved'])).code, 0);
    await pair.ok('rmi', 'box:saved');
    const loaded = await load(['load', '-i', file]);
    assert.equal(loaded.code, 0, loaded.stderr);
    assert.match(loaded.stdout, /Loaded image: box:saved\n/);
  }
  const container = await pair.ok('create', 'busybox', 'true');
  const tree = join(folder, 'tree.tar');
  await pair.ok('export', '-o', tree, container);
  assert.match(await pair.ok('import', '-c', 'CMD ["id"]', tree, 'box:imported'), /^sha256:[0-9a-f]{64}$/);
  assert.match(await pair.ok('run', '--rm', 'box:imported'), /^uid=0/);
});

test('builds from folders, stdin, and Dockerfiles of elsewhere', async () => {
  const folder = folderOf('context', {
    Dockerfile: 'FROM busybox AS base\nARG A=none\nRUN echo $A > /a\nFROM base AS more\nCOPY . /src\n',
    '.dockerignore': 'secret\n',
    secret: 'x',
    'kept/file': 'y',
    'docker/Other': 'FROM busybox\nCOPY kept/file /other\n',
  });
  const outside = folderOf('outside', { Dockerfile: 'FROM busybox\nCOPY . /src\nRUN ls -A /src > /list\n' });
  const read = (image: string, ...command: string[]): Promise<string> =>
    pair.ok('run', '--rm', image, ...command);
  const iid = join(pair.engine.folder, 'iid');
  const id = await pair.ok(
    'build',
    '-q',
    '-t',
    'b:1',
    '-t',
    'b:2',
    '--build-arg',
    'A=given',
    '--iidfile',
    iid,
    folder,
  );
  assert.equal(readFileSync(iid, 'utf8'), id);
  assert.equal(await pair.ok('inspect', '-f', '{{.Id}}', 'b:2'), id);
  assert.equal(await read('b:1', 'cat', '/a', '/src/kept/file'), 'given\ny');
  assert.equal((await pair.varve(['run', '--rm', 'b:1', 'ls', '/src/secret'])).code, 1);
  await pair.ok('build', '-q', '-t', 'b:base', '--target', 'base', folder);
  assert.equal(await read('b:base', 'cat', '/a'), 'none');
  await pair.ok('build', '-q', '-t', 'b:other', '-f', join(folder, 'docker/Other'), folder);
  assert.equal(await read('b:other', 'cat', '/other'), 'y');
  await pair.ok('build', '-q', '-t', 'b:outside', '-f', join(outside, 'Dockerfile'), folder);
  const list = await read('b:outside', 'cat', '/list');
  assert.match(list, /^kept$/m);
  assert.doesNotMatch(list, /\.dockerfile\.|secret/);
  const input = 'FROM busybox\nRUN echo in > /in\n';
  assert.equal((await pair.varve(['build', '-t', 'b:stdin', '-'], { input })).code, 0);
  assert.equal(await read('b:stdin', 'cat', '/in'), 'in');
  const tar = execFileSync('tar', ['-C', outside, '-cz', '.']);
  assert.equal((await pair.varve(['build', '-t', 'b:tar', '-'], { input: tar })).code, 0);
  assert.equal(await read('b:tar', 'cat', '/list'), 'Dockerfile');
});

test('a failing build ends and speaks as with docker', async () => {
  const folder = folderOf('failing', { Dockerfile: 'FROM busybox\nRUN echo said; exit 3\n' });
  const [theirs, ours] = [await pair.docker(['build', folder]), await pair.varve(['build', folder])];
  assert.equal(ours.code, theirs.code);
  assert.match(theirs.stderr, /returned a non-zero code: 3/);
  assert.match(ours.stderr, /returned a non-zero code: 3/);
  assert.match(ours.stdout, /said/);
  for (const args of [['/nowhere'], ['-f', '/nowhere', folder]]) {
    const result = await pair.varve(['build', ...args]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^unable to prepare context: /);
  }
});

/** [command, with CLI in place of its name]. Each runs in a folder with `f`, `d/one`, `link -> f`, `dlink -> d`. */
const copies: readonly string[] = [
  'CLI cp f box:/tmp',
  'CLI cp f box:/tmp/new',
  'CLI cp f box:/nodir/x',
  'CLI cp d box:/newd',
  'CLI cp d/. box:/tmp',
  'CLI cp d box:/etc/passwd',
  'CLI cp link box:/tmp',
  'CLI cp -L link box:/tmp',
  'CLI cp f box:/tmp/tolink',
  'CLI cp nope box:/tmp',
  'CLI cp -a f box:/tmp',
  'tar c d f | CLI cp - box:/tmp',
  'tar c f | CLI cp - box:/nodir',
  'CLI cp box:/etc/passwd .',
  'CLI cp box:/etc/passwd new',
  'CLI cp box:/etc/passwd nodir/x',
  'CLI cp box:/etc/passwd nodir/',
  'CLI cp box:/etc newd',
  'CLI cp box:/etc/. d',
  'CLI cp box:/etc f',
  'CLI cp box:/etc/passwd link',
  'CLI cp box:/nope .',
  'CLI cp nobox:/x .',
  'CLI cp box:/etc/passwd - | tar t',
  'CLI cp f d',
  'CLI cp box:/etc/passwd box:/x',
];

test('copies by the rules of docker cp', async (t) => {
  for (const [index, line] of copies.entries()) {
    await t.test(line, async () => {
      const seen = [];
      for (const client of ['docker', 'varve']) {
        const place = join(pair.engine.folder, `copy-${index}-${client}`, 'here');
        mkdirSync(place, { recursive: true });
        const setUp = 'echo hello > f; mkdir d; echo one > d/one; ln -s f link; ln -s d dlink';
        execFileSync('sh', ['-c', setUp], { cwd: place });
        await pair.ok('run', '--name', 'box', 'busybox', 'ln', '-s', '/etc/group', '/tmp/tolink');
        const argv = client === 'varve' ? pair.argv() : ['/usr/local/bin/docker'];
        const command = line.replaceAll('CLI', argv.map((word) => `'${word}'`).join(' '));
        const script = `${command} > ../out 2> ../err; echo $? > ../code`;
        execFileSync('sh', ['-c', script], { cwd: place, env: pair.environment() });
        const read = (name: string): string =>
          readFileSync(join(place, '..', name), 'utf8').replaceAll(place, 'HERE');
        const shell = (text: string): string =>
          execFileSync('sh', ['-c', text], { cwd: place, encoding: 'utf8' });
        const files = shell("find . -printf '%p %y %m %U %l\\n' | sort; find . -type f | sort | xargs cat");
        await pair.ok('export', '-o', join(place, '../tree.tar'), 'box');
        const tree = shell(
          'tar tvf ../tree.tar | grep -v " dev/" | sed -E "s/ [0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}//" | sort',
        );
        await pair.ok('rm', 'box');
        assert.ok(existsSync(place));
        seen.push({
          files,
          tree: tree.replaceAll(/ etc\/(hosts|hostname|resolv.conf)/g, ''),
          ...plain({ code: Number(read('code')), stdout: read('out'), stderr: read('err') }),
        });
      }
      assert.deepEqual(seen[1], seen[0], line);
    });
  }
});
