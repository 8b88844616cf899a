import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { RegistryClient } from '../../src/distribution/index.ts';
import { json, serve } from '../../src/distribution/testing/fake-server.ts';
import { digestOf, encodeJson, mediaTypes } from '../../src/oci/index.ts';
import { skipReason, startDockerRegistry, startVarveRegistry } from './registry-process.ts';

const config = Buffer.from('{}');
const blob = { mediaType: mediaTypes.ociConfig, digest: digestOf(config), size: config.length };

/** Who may do what, by the name of the repository. */
const rights: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  alice: { app: ['pull', 'push', 'delete'], other: ['pull', 'push'] },
  anonymous: { app: ['pull'] },
};

for (const [name, start] of [
  ['docker-registry', (auth: object) => startDockerRegistry(`auth: ${JSON.stringify(auth)}`)],
  ['ours', (auth: object) => startVarveRegistry(auth)],
] as const)
  test(`works with a registry that verifies tokens of a token server: ${name}`, {
    skip: name === 'ours' ? false : skipReason,
  }, async (context) => {
    const folder = mkdtempSync('/var/tmp/varve-token-');
    context.after(() => rmSync(folder, { recursive: true }));
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const options = [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      '/CN=token',
      '-keyout',
      keyFile,
      '-out',
      certFile,
    ];
    execFileSync('openssl', options, { stdio: 'ignore' });
    const key = createPrivateKey(readFileSync(keyFile));
    const certificate = new X509Certificate(readFileSync(certFile)).raw.toString('base64');

    await using realm = await serve(async (request, response, url) => {
      const basic = /^Basic (.*)$/.exec(request.headers.authorization ?? '')?.[1];
      const [user = 'anonymous', password] =
        basic === undefined ? [] : Buffer.from(basic, 'base64').toString().split(':');
      if (user !== 'anonymous' && password !== 'secret') {
        return json(response, 401, {
          errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }],
        });
      }
      const access = url.searchParams.getAll('scope').map((scope) => {
        const [type = '', name = '', actions = ''] = scope.split(':');
        return {
          type,
          name,
          actions: actions.split(',').filter((action) => rights[user]?.[name]?.includes(action)),
        };
      });
      const token = await new SignJWT({ access })
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT', x5c: [certificate] })
        .setIssuer('issuer')
        .setSubject(user)
        .setAudience(url.searchParams.get('service') ?? '')
        .setIssuedAt()
        .setNotBefore('-10s')
        .setExpirationTime('5m')
        .setJti(createHash('sha256').update(String(Math.random())).digest('hex'))
        .sign(key);
      json(response, 200, { token, expires_in: 300 });
    });
    await using registry = await start({
      token: {
        realm: `http://${realm.host}/token`,
        service: 'test registry',
        issuer: 'issuer',
        rootcertbundle: certFile,
      },
    });
    await using client = new RegistryClient({ retry: { attempts: 1 } });
    const alice = client.repository(`${registry.host}/app`, { username: 'alice', password: 'secret' });
    await alice.putBlob(blob, async function* () {
      yield config;
    });
    const bytes = encodeJson({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: blob,
      layers: [],
    });
    const manifest = {
      bytes,
      descriptor: { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), size: bytes.length },
    };
    await alice.putManifest('v1', manifest);
    const other = client.repository(`${registry.host}/other`, { username: 'alice', password: 'secret' });
    assert.equal(await other.mountBlob(blob.digest, 'app'), true);
    assert.deepEqual(await Array.fromAsync(alice.listTags()), ['v1']);

    const anonymous = client.repository(`${registry.host}/app`);
    assert.deepEqual(await anonymous.getManifest('v1'), manifest);
    await assert.rejects(anonymous.putManifest('v2', manifest), {
      kind: 'forbidden',
      code: 'DENIED',
      message: 'denied: requested access to the resource is denied',
    });
    await assert.rejects(client.repository(`${registry.host}/other`).getManifest('v1'), {
      kind: 'not-found',
      message: `pull access denied for ${registry.host}/other, repository does not exist or may require 'docker login': denied: requested access to the resource is denied`,
    });
    await alice.deleteManifest(manifest.descriptor.digest);
    await client.login(registry.host, { username: 'alice', password: 'secret' });
    await assert.rejects(client.login(registry.host, { username: 'alice', password: 'wrong' }), {
      kind: 'unauthorized',
      message: 'unauthorized: incorrect username or password',
    });
  });
