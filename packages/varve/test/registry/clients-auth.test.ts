import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { RegistryClient } from '../../src/distribution/index.ts';
import { digestOf, mediaTypes } from '../../src/oci/index.ts';
import { atEnd } from '../../src/registry/testing/index.ts';
import { DockerDaemon } from '../support/docker-daemon.ts';
import { writeHtpasswd } from './auth-fixtures.ts';
import { makeImage, podman, run, startServer, temporaryFolder } from './programs.ts';

const users = { alice: 'wonderland', bob: 'builder' };
const rules = [
  { who: ['user:alice'], repositories: ['**'], actions: ['*'] },
  { who: ['anonymous'], repositories: ['public/**'], actions: ['pull'] },
];
const plainSource = '--src-tls-verify=false';
const plainDestination = '--dest-tls-verify=false';

for (const [mode, extra] of [
  ['passwords', {}],
  ['the embedded token server', { tokenserver: {} }],
] as const) {
  test(`skopeo and podman log in, push, pull and are denied, with ${mode}`, async (t) => {
    const folder = temporaryFolder(t);
    const path = writeHtpasswd(join(folder, 'htpasswd'), users);
    const auth = { htpasswd: { path }, rules, ...extra };
    const { host } = await startServer(t, join(folder, 'registry'), { auth });
    const image = makeImage(folder);
    const [alice, bob] = [join(folder, 'alice.json'), join(folder, 'bob.json')];
    const login = (
      program: readonly string[],
      user: keyof typeof users,
      file: string,
      password = users[user],
    ): string =>
      run([...program, 'login', '--tls-verify=false', '--authfile', file, '-u', user, '-p', password, host]);
    const target = `docker://${host}/public/app:v1`;
    const none = join(folder, 'none.json');
    assert.throws(
      () => login(['skopeo'], 'alice', alice, 'wrong'),
      /(unauthorized|invalid username\/password)/i,
    );
    assert.match(login(['skopeo'], 'alice', alice), /Login Succeeded/);
    assert.match(login(podman(folder), 'bob', bob), /Login Succeeded/);
    const copy = (from: string, to: string, authfile: string): string =>
      run(['skopeo', 'copy', plainSource, plainDestination, '--authfile', authfile, from, to]);
    assert.throws(() => copy(image, target, none), /(unauthorized|denied|authentication required)/i);
    assert.throws(() => copy(image, target, bob), /denied/);
    copy(image, target, alice);
    copy(image, `docker://${host}/private/app:v1`, alice);
    assert.throws(
      () => copy(`docker://${host}/private/app:v1`, `oci:${join(folder, 'no')}:v1`, bob),
      /denied/,
    );
    copy(target, `oci:${join(folder, 'back')}:v1`, bob);
    copy(target, `oci:${join(folder, 'anonymous')}:v1`, none);
    // A push from one repository to another mounts what is there.
    copy(`docker://${host}/private/app:v1`, `docker://${host}/private/copy:v1`, alice);

    const plain = ['--tls-verify=false', '--quiet'];
    run([...podman(folder), 'pull', ...plain, '--authfile', alice, `${host}/private/app:v1`]);
    run([...podman(folder), 'tag', `${host}/private/app:v1`, `${host}/private/app:v2`]);
    assert.throws(
      () => run([...podman(folder), 'push', ...plain, '--authfile', bob, `${host}/private/app:v2`]),
      /denied|403 \(Forbidden\)/,
    );
    run([...podman(folder), 'push', ...plain, '--authfile', alice, `${host}/private/app:v2`]);
    const tags = run([
      'skopeo',
      'list-tags',
      '--tls-verify=false',
      '--authfile',
      alice,
      `docker://${host}/private/app`,
    ]);
    assert.deepEqual((JSON.parse(tags) as { Tags: string[] }).Tags, ['v1', 'v2']);
  });
}

test('docker logs in, pushes, pulls and is denied, and pulls without a login what is public', {
  skip: existsSync('/usr/sbin/dockerd') ? false : 'dockerd is not installed (Debian package docker.io)',
}, async (t) => {
  const folder = temporaryFolder(t);
  const netns = `varve-${randomBytes(4).toString('hex')}`;
  execFileSync('ip', ['netns', 'add', netns]);
  atEnd(t, () => void execFileSync('ip', ['netns', 'delete', netns]));
  execFileSync('nsenter', [`--net=/run/netns/${netns}`, 'ip', 'link', 'set', 'lo', 'up']);
  const path = writeHtpasswd(join(folder, 'htpasswd'), users);
  const auth = { htpasswd: { path }, rules, tokenserver: {} };
  const { host } = await startServer(t, join(folder, 'registry'), { auth, netns });
  const daemon = await DockerDaemon.start(netns, join(folder, 'dockerd'));
  if (typeof daemon === 'string') return t.skip(daemon);
  atEnd(t, () => daemon[Symbol.asyncDispose]());
  const fails = (...args: readonly string[]): string => {
    const { status, stderr } = daemon.docker(...args);
    assert.notEqual(status, 0, args.join(' '));
    return String(stderr);
  };
  execFileSync('tar', ['-C', '/', '-cf', join(folder, 'box.tar'), 'bin/busybox']);
  const [open, closed] = [`${host}/public/box:v1`, `${host}/private/box:v1`];
  daemon.ok('import', join(folder, 'box.tar'), open);
  daemon.ok('tag', open, closed);
  assert.match(fails('login', '-u', 'alice', '-p', 'wrong', host), /unauthorized/);
  assert.match(fails('push', open), /denied|unauthorized/);
  assert.match(daemon.ok('login', '-u', 'alice', '-p', users.alice, host), /Login Succeeded/);
  // A registry that gives a refresh token spares the client the password.
  const config = JSON.parse(readFileSync(join(folder, 'dockerd', '.docker', 'config.json'), 'utf8')) as {
    auths: Record<string, { identitytoken?: string }>;
  };
  assert.match(String(config.auths[host]?.identitytoken), /^eyJ/);
  daemon.ok('push', open);
  daemon.ok('push', closed);
  daemon.ok('rmi', open, closed);
  daemon.ok('pull', closed);
  daemon.ok('logout', host);
  assert.match(fails('pull', `${host}/private/other:v1`), /denied|unauthorized/);
  assert.match(fails('pull', closed), /denied|unauthorized/);
  daemon.ok('pull', open);
  daemon.ok('login', '-u', 'bob', '-p', users.bob, host);
  daemon.ok('pull', open);
  assert.match(fails('push', open), /denied/);

  const passwords = await startServer(t, join(folder, 'passwords'), {
    auth: { htpasswd: { path }, rules },
    netns,
  });
  const other = `${passwords.host}/private/box:v1`;
  daemon.ok('tag', open, other);
  assert.match(fails('push', other), /no basic auth credentials/);
  assert.match(fails('login', '-u', 'alice', '-p', 'wrong', passwords.host), /unauthorized/i);
  daemon.ok('login', '-u', 'bob', '-p', users.bob, passwords.host);
  assert.match(fails('push', other), /denied/);
  daemon.ok('login', '-u', 'alice', '-p', users.alice, passwords.host);
  daemon.ok('push', other);
});

test('our own client logs in, pushes, mounts and is denied', async (t) => {
  const folder = temporaryFolder(t);
  const path = writeHtpasswd(join(folder, 'htpasswd'), users);
  const { host } = await startServer(t, join(folder, 'registry'), {
    auth: { htpasswd: { path }, rules, tokenserver: {} },
  });
  await using client = new RegistryClient({ retry: { attempts: 1 } });
  const [alice, bob] = [
    { username: 'alice', password: users.alice },
    { username: 'bob', password: users.bob },
  ];
  await client.login(host, alice);
  await assert.rejects(client.login(host, { ...alice, password: 'wrong' }), { kind: 'unauthorized' });
  const bytes = Buffer.from('{}');
  const blob = { mediaType: mediaTypes.ociConfig, digest: digestOf(bytes), size: bytes.length };
  const source = async function* (): AsyncGenerator<Buffer> {
    yield bytes;
  };
  await client.repository(`${host}/private/app`, alice).putBlob(blob, source);
  const other = client.repository(`${host}/private/other`, alice);
  assert.equal(await other.mountBlob(blob.digest, 'private/app'), true);
  await assert.rejects(client.repository(`${host}/private/app`, bob).putBlob(blob, source), {
    kind: 'forbidden',
    code: 'DENIED',
  });
  await assert.rejects(client.repository(`${host}/private/app`).putBlob(blob, source));
});
