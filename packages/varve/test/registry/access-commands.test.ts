import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { atEnd, eventually, httpCall } from '../../src/registry/testing/index.ts';
import { basic, writeHtpasswd } from './auth-fixtures.ts';
import { temporaryFolder } from './programs.ts';

const varve = join(import.meta.dirname, '../../src/bin/varve.ts');

function run(...argv: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [varve, 'registry', ...argv], { encoding: 'utf8', timeout: 60_000 });
}

function writeConfig(path: string, folder: string, action: string): void {
  const config = {
    http: { addr: '127.0.0.1:0' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    auth: {
      htpasswd: { path: join(folder, 'htpasswd') },
      groups: { team: ['alice'] },
      rules: [{ name: 'team', who: ['group:team'], repositories: ['team/**'], actions: [action] }],
    },
  };
  writeFileSync(path, JSON.stringify(config));
}

async function serve(t: TestContext, config: string): Promise<{ url: string; hangUp: () => void }> {
  const child = spawn(process.execPath, [varve, 'registry', 'serve', config], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  atEnd(t, async () => {
    child.kill('SIGTERM');
    await gone;
  });
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => reject(new Error(`the registry ended: ${code}`)));
  });
  return { url: line.replace('registry listening on ', ''), hangUp: () => void child.kill('SIGHUP') };
}

test('makes, lists and removes robots of a registry that serves, and explains what they may do', async (t) => {
  const folder = temporaryFolder(t);
  const config = join(folder, 'registry.yml');
  writeHtpasswd(join(folder, 'htpasswd'), { alice: 'wonderland' });
  writeConfig(config, folder, 'pull');
  const { url, hangUp } = await serve(t, config);
  const push = async (repository: string, headers: Record<string, string>): Promise<number> =>
    (await httpCall(url, 'POST', `/v2/${repository}/blobs/uploads/`, { headers })).status;

  const made = run(
    'robot',
    'create',
    'ci',
    '-r',
    'ci/**',
    '-a',
    'pull,push',
    '--expires',
    '1h',
    '-c',
    config,
    '--json',
  );
  assert.equal(made.status, 0, made.stderr);
  const { username, secret } = JSON.parse(made.stdout) as { username: string; secret: string };
  assert.equal(await push('ci/app', basic(username, secret)), 202);
  assert.equal(await push('other', basic(username, secret)), 403);
  assert.equal(run('robot', 'create', 'ci', '-r', 'x', '-c', config).status, 1);
  const listed = run('robot', 'list', '-c', config);
  assert.match(listed.stdout, /^robot\+ci {2}expires 20\S+Z {2}ci\/\*\*: pull,push\n$/);
  assert.ok(!listed.stdout.includes(secret));
  const explained = run('explain-access', '--robot', 'ci', '-r', 'ci/app', '-a', 'push', config);
  assert.deepEqual([explained.status, explained.stdout.split('\n')[1]], [0, 'decided:  granted to robot:ci']);
  assert.equal(run('robot', 'remove', 'ci', '-c', config).stdout, 'ci\n');
  assert.equal(await push('ci/app', basic(username, secret)), 401);

  const alice = basic('alice', 'wonderland');
  assert.equal(await push('team/app', alice), 403);
  const refused = run('explain-access', '--user', 'alice', '-r', 'team/app', '-a', 'push', '--json', config);
  assert.equal(refused.status, 1);
  assert.deepEqual(JSON.parse(refused.stdout), {
    subject: 'user:alice',
    groups: ['team'],
    asked: 'repository:team/app:pull,push',
    held: ['pull'],
    allowed: false,
    reason: 'no rule allows it',
  });
  writeConfig(config, folder, 'push');
  hangUp();
  await eventually(async () => (await push('team/app', alice)) === 202, 'the rules are read anew');
  writeFileSync(config, 'auth: {htpaswd: {}}\n');
  hangUp();
  assert.equal(await push('team/app', alice), 202, 'a wrong file changes nothing');
  assert.equal(await push('team/app', {}), 401);
});
