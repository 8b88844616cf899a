import assert from 'node:assert/strict';
import { lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { HelperRunner } from './credential-helper.ts';
import { DockerConfig } from './docker-config.ts';

function file(context: TestContext, content?: unknown): string {
  const folder = mkdtempSync('/var/tmp/varve-config-');
  context.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'config.json');
  if (content !== undefined)
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

test('looks credentials up as Docker keeps them', async (context) => {
  const config = new DockerConfig(
    file(context, {
      auths: {
        'https://index.docker.io/v1/': { auth: base64('hub:p:w') },
        'host:5000': { auth: base64('alice:secret\0\0') },
        'https://old.example/v1/': { auth: base64('old:pw') },
        'token.example': { auth: base64('<token>:'), identitytoken: 'identity' },
        'plain.example': { username: 'bob', password: 'pw' },
        'empty.example': {},
      },
    }),
  );
  assert.deepEqual(await config.lookup('docker.io'), { username: 'hub', password: 'p:w' });
  assert.deepEqual(await config.lookup('host:5000'), { username: 'alice', password: 'secret' });
  assert.deepEqual(await config.lookup('old.example'), { username: 'old', password: 'pw' });
  assert.equal((await config.lookup('token.example'))?.identityToken, 'identity');
  assert.deepEqual(await config.lookup('plain.example'), { username: 'bob', password: 'pw' });
  assert.equal(await config.lookup('empty.example'), undefined);
  assert.equal(await config.lookup('host'), undefined);
  assert.ok(config.hosts().includes('docker.io') && config.hosts().includes('old.example'));
});

test('has none without a file, and refuses a broken one', async (context) => {
  assert.equal(await new DockerConfig(file(context)).lookup('a'), undefined);
  assert.equal(await new DockerConfig(file(context, '')).lookup('a'), undefined);
  await assert.rejects(new DockerConfig(file(context, '{')).lookup('a'), { code: 'DOCKER_CONFIG_INVALID' });
  await assert.rejects(new DockerConfig(file(context, '[]')).lookup('a'), { code: 'DOCKER_CONFIG_INVALID' });
});

test('logs in and out, keeping all else in the file', async (context) => {
  const path = file(context, {
    HttpHeaders: { X: '1' },
    auths: { 'https://host/v1/': { auth: 'eDp5' } },
    detachKeys: 'ctrl-e',
  });
  const config = new DockerConfig(path);
  await Promise.all([
    config.login('docker.io', { username: 'hub', password: 'secret' }),
    config.login('host', { identityToken: 'identity' }),
  ]);
  assert.deepEqual(JSON.parse(readFileSync(path, 'utf8')), {
    HttpHeaders: { X: '1' },
    auths: {
      'https://host/v1/': { auth: 'eDp5' },
      'https://index.docker.io/v1/': { auth: base64('hub:secret') },
      host: { identitytoken: 'identity' },
    },
    detachKeys: 'ctrl-e',
  });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(await config.lookup('docker.io'), { username: 'hub', password: 'secret' });
  assert.deepEqual(await config.lookup('host'), { identityToken: 'identity' });
  assert.equal(await config.logout('host'), true);
  assert.equal(await config.logout('host'), false);
  assert.deepEqual(Object.keys((JSON.parse(readFileSync(path, 'utf8')) as { auths: object }).auths), [
    'https://index.docker.io/v1/',
  ]);
});

test('keeps a linked file linked', async (context) => {
  const path = file(context);
  const target = `${path}.real`;
  writeFileSync(target, '{}');
  symlinkSync(target, path);
  await new DockerConfig(path).login('host', { username: 'a', password: 'b' });
  assert.ok(lstatSync(path).isSymbolicLink());
  assert.match(readFileSync(target, 'utf8'), /"host"/);
});

interface Call {
  readonly command: string;
  readonly verb: string | undefined;
  readonly stdin: string;
}

test('asks helpers by their protocol', async (context) => {
  const calls: Call[] = [];
  const kept = new Map<string, { Username: string; Secret: string }>();
  const run: HelperRunner = async (command, [verb], stdin) => {
    calls.push({ command, verb, stdin });
    if (verb === 'store') {
      const entry = JSON.parse(stdin) as { ServerURL: string; Username: string; Secret: string };
      kept.set(entry.ServerURL, entry);
      return { code: 0, stdout: '' };
    }
    const found = kept.get(stdin);
    if (found === undefined) return { code: 1, stdout: 'credentials not found in native keychain\n' };
    if (verb === 'erase') kept.delete(stdin);
    return { code: 0, stdout: JSON.stringify({ ServerURL: stdin, ...found }) };
  };
  const path = file(context, { credsStore: 'keys', credHelpers: { 'special.example': 'other' } });
  const config = new DockerConfig(path, run);
  assert.equal(await config.lookup('docker.io'), undefined);
  assert.deepEqual(calls.at(-1), {
    command: 'docker-credential-keys',
    verb: 'get',
    stdin: 'https://index.docker.io/v1/',
  });
  await config.lookup('special.example');
  assert.equal(calls.at(-1)?.command, 'docker-credential-other');
  await config.login('docker.io', { username: 'hub', password: 'secret' });
  assert.deepEqual(await config.lookup('docker.io'), { username: 'hub', password: 'secret' });
  assert.ok(!readFileSync(path, 'utf8').includes(base64('hub:secret')), 'the secret stays with the helper');
  await config.login('host', { identityToken: 'identity' });
  assert.deepEqual(kept.get('host'), { ServerURL: 'host', Username: '<token>', Secret: 'identity' });
  assert.deepEqual(await config.lookup('host'), { identityToken: 'identity' });
  assert.equal(await config.logout('host'), true);
  assert.equal(kept.has('host'), false);
});

test('tells which helper failed, and starts none with a path for a name', async (context) => {
  const path = file(context, { credHelpers: { a: 'broken', b: '../../bin/sh', c: 'loud' } });
  const config = new DockerConfig(path, async (command) => {
    if (command === 'docker-credential-loud') return { code: 1, stdout: 'locked' };
    throw new Error('not found in PATH');
  });
  await assert.rejects(config.lookup('a'), {
    code: 'CREDENTIAL_HELPER_FAILED',
    message: /docker-credential-broken get": not found in PATH/,
  });
  await assert.rejects(config.lookup('b'), { code: 'DOCKER_CONFIG_INVALID' });
  await assert.rejects(config.lookup('c'), { code: 'CREDENTIAL_HELPER_FAILED', message: /locked/ });
  await assert.rejects(new DockerConfig(path).lookup('a'), { kind: 'not-implemented' });
});
