import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { readTar } from '../../src/layer/index.ts';
import { busyboxTar, TestEngine } from '../engine/harness.ts';
import { cases } from './oracle-cases.ts';
import { Dockerd, dockerAt, dockerdProgram } from './dockerd.ts';

/** Runs the stock client against one of the two daemons. */
type Docker = (...args: string[]) => ReturnType<typeof dockerAt>;

const skip = dockerdProgram === undefined ? 'dockerd is not installed (docker.io)' : false;
let folder = '';
let engine: TestEngine | undefined;
let daemon: Dockerd | undefined;
let sides: readonly Docker[] = [];

before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync('/var/tmp/varve-oracle-');
  [engine, daemon] = await Promise.all([TestEngine.start(), Dockerd.start()]);
  const ours = `unix://${engine.socket}`;
  const theirs = daemon;
  sides = [(...args) => theirs.docker(...args), (...args) => dockerAt(ours, args)];
  const base = busyboxTar(folder);
  for (const docker of sides) {
    const imported = await docker(
      'import',
      '-c',
      'CMD ["sh"]',
      '-c',
      'ENV BASE=1',
      '-c',
      'LABEL l=base',
      base,
      'busybox',
    );
    assert.equal(imported.code, 0, imported.stderr);
  }
});

after(async () => {
  await engine?.[Symbol.asyncDispose]();
  await daemon?.[Symbol.asyncDispose]();
  if (folder !== '') rmSync(folder, { recursive: true });
});

/** A context with files of every kind. */
function context(name: string, dockerfile: string): string {
  const root = join(folder, name.replaceAll(' ', '-'));
  mkdirSync(join(root, 'src/sub'), { recursive: true });
  mkdirSync(join(root, 'src/empty'));
  mkdirSync(join(root, 'holder'));
  const files = {
    'a.txt': 'a',
    'b.txt': 'b',
    'src/x': 'x',
    'src/sub/y': 'y',
    'run.sh': '#!/bin/sh\n',
    'my file': 'm',
    '.hidden': 'h',
    'holder/f1': '1',
  };
  for (const [path, content] of Object.entries(files)) writeFileSync(join(root, path), content);
  writeFileSync(join(root, 'Dockerfile'), dockerfile);
  chmodSync(join(root, 'run.sh'), 0o750);
  chmodSync(join(root, 'src/sub'), 0o711);
  linkSync(join(root, 'holder/f1'), join(root, 'holder/f2'));
  symlinkSync('../src', join(root, 'holder/link'));
  symlinkSync('src/x', join(root, 'ln-file'));
  symlinkSync('src', join(root, 'ln-dir'));
  execFileSync('tar', ['-C', root, '-cf', join(root, 't.tar'), 'src', 'a.txt']);
  execFileSync('tar', ['-C', root, '-czf', join(root, 't.tgz'), 'src', 'a.txt']);
  execFileSync('sh', ['-c', 'gzip -c "$0/a.txt" > "$0/a.gz"', root]);
  return root;
}

const idless = (text: string): string => text.replace(/[0-9a-f]{12,64}/g, 'ID');
/** What tells of a daemon's own doings, and what one of the two does not say. */
const ownLines =
  /^(?:Sending build context|Removing intermediate| ---> Running in| ---> Removed intermediate|\[Warning\])/;
const clientLines =
  /DEPRECATED|Install the buildx|docs\.docker\.com|BuildKit is currently|environment-variable/;

/** Files of the image: type, mode, owner, size and target by name. */
async function files(docker: Docker, image: string): Promise<Readonly<Record<string, string>>> {
  const created = (await docker('create', image, 'x')).stdout.trim();
  const exported = await docker('export', created);
  await docker('rm', '-fv', created);
  const found: Record<string, string> = {};
  const archive = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(exported.stdout, 'latin1');
  };
  for await (const { name, type, mode, uid, gid, size, linkName } of readTar(archive())) {
    const path = name.toString().replace(/^\.\//, '').replace(/\/$/, '');
    // What a daemon puts into a container, and busybox itself.
    if (/^(?:dev|proc|sys|bin|\.dockerenv)(?:\/|$)|^etc\/(?:hosts|hostname|resolv\.conf|mtab)$|^$/.test(path))
      continue;
    found[path] = `${type} ${mode.toString(8)} ${uid}:${gid} ${size} ${linkName.toString()}`;
  }
  return found;
}

/** All that can be seen of a build. */
async function outcome(docker: Docker, name: string, root: string): Promise<object> {
  const image = `t-${name.toLowerCase().replaceAll(/[^a-z]+/g, '-')}`;
  const built = await docker('build', '--no-cache', '-t', image, '--build-arg', 'Y=why', root);
  // How output is cut into pieces is chance, and with it where its colour is set.
  const stdout = idless(stripVTControlCharacters(built.stdout))
    .split('\n')
    .filter((line) => line !== '' && !ownLines.test(line));
  const stderr = idless(built.stderr)
    .split('\n')
    .filter((line) => line !== '' && !clientLines.test(line));
  if (built.code !== 0) return { code: built.code, stdout, stderr };
  const [{ Config, Author, RootFS }] = JSON.parse((await docker('inspect', image)).stdout) as [
    {
      readonly Config: Readonly<Record<string, unknown>>;
      readonly Author?: string;
      readonly RootFS: { readonly Layers: readonly string[] };
    },
  ];
  const kept = [
    'Env',
    'Cmd',
    'Entrypoint',
    'ExposedPorts',
    'Volumes',
    'WorkingDir',
    'Labels',
    'OnBuild',
    'User',
    'StopSignal',
    'Shell',
  ];
  const config = Object.fromEntries(
    Object.entries(Config).filter(
      ([key, value]) => kept.includes(key) && value && Object.keys(value).length > 0,
    ),
  );
  const history = (await docker('history', '--no-trunc', '--format', '{{.CreatedBy}}', image)).stdout;
  return {
    code: built.code,
    stdout,
    stderr,
    // The two put the default PATH at different places.
    config: { ...config, Env: [...((Config['Env'] ?? []) as string[])].sort() },
    author: Author ?? '',
    layers: RootFS.Layers.length,
    history: idless(history).trim().split('\n').slice(0, -1),
    files: await files(docker, image),
  };
}

for (const [name, dockerfile] of Object.entries(cases)) {
  test(`builds as dockerd: ${name}`, { skip }, async () => {
    const root = context(name, dockerfile);
    const [theirs, ours] = await Promise.all(sides.map((docker) => outcome(docker, name, root)));
    assert.deepEqual(ours, theirs);
  });
}
