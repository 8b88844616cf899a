import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestRegistry, temporaryRoot } from '../../src/registry/testing/index.ts';
import { type KeyPair, makeCertificate } from './auth-fixtures.ts';

interface TlsAnswer {
  readonly status: number;
  readonly body: string;
  /** Of the server's certificate. */
  readonly serial: string;
}

function call(url: string, path: string, ca: KeyPair, client?: KeyPair): Promise<TlsAnswer> {
  const { hostname, port } = new URL(url);
  const pem = (pair: KeyPair): string => pair.certificate.toString();
  const own = client && { cert: pem(client), key: client.key.export({ type: 'pkcs8', format: 'pem' }) };
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, ca: pem(ca), agent: false, ...own }, (answer) => {
      const { serialNumber } = (
        answer.socket as unknown as { getPeerCertificate(): { serialNumber: string } }
      ).getPeerCertificate();
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('error', reject);
      answer.on('end', () =>
        resolve({
          status: answer.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
          serial: serialNumber,
        }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

test('knows a client by its certificate, and takes a new certificate of its own without a restart', async (t) => {
  const folder = temporaryRoot(t);
  const address = 'subjectAltName=IP:127.0.0.1';
  const authority = makeCertificate(folder, 'authority', { ca: true });
  const server = makeCertificate(folder, 'server', { issuer: authority, extension: address });
  const alice = makeCertificate(folder, 'alice', {
    issuer: authority,
    subject: '/O=acme/OU=team-a/OU=team-b/CN=alice',
  });
  const nameless = makeCertificate(folder, 'nameless', { issuer: authority, subject: '/O=acme' });
  const strangers = makeCertificate(folder, 'strangers', { ca: true });
  const stranger = makeCertificate(folder, 'stranger', { issuer: strangers, subject: '/CN=alice' });
  const config = {
    http: {
      addr: '127.0.0.1:0',
      tls: {
        certificate: server.certificatePath,
        key: server.keyPath,
        clientcas: [authority.certificatePath],
        clientauth: 'verify-client-cert-if-given' as const,
      },
    },
    auth: {
      certificate: { groups: 'organizationalunit' as const },
      tokenserver: {},
      rules: [
        { who: ['group:team-b'], repositories: ['b/**'], actions: ['pull' as const] },
        { who: ['anonymous'], repositories: ['public'], actions: ['pull' as const] },
      ],
    },
  };
  const registry = await startTestRegistry(t, config);
  const status = async (path: string, client?: KeyPair): Promise<number> =>
    (await call(registry.url, path, authority, client)).status;
  assert.equal(await status('/v2/'), 401);
  assert.equal(await status('/v2/', alice), 200);
  assert.equal(await status('/v2/b/app/tags/list', alice), 404);
  assert.equal(await status('/v2/c/app/tags/list', alice), 403);
  assert.equal(await status('/v2/b/app/tags/list'), 401);
  assert.equal(await status('/v2/public/tags/list'), 404);
  assert.equal(await status('/v2/public/tags/list', nameless), 401);
  await assert.rejects(status('/v2/public/tags/list', stranger), { code: 'ECONNRESET' });
  const token = await call(registry.url, '/token?scope=repository:b/app:pull,push', authority, alice);
  assert.equal((JSON.parse(token.body) as { scope: string }).scope, 'repository:b/app:pull');

  const before = await call(registry.url, '/v2/public/tags/list', authority);
  const next = makeCertificate(folder, 'next', { issuer: authority, extension: address });
  copyFileSync(next.certificatePath, join(folder, 'server.pem'));
  copyFileSync(next.keyPath, join(folder, 'server.key'));
  await registry.registry.reload({ ...config, auth: { ...config.auth, rules: [] } });
  const after = await call(registry.url, '/v2/public/tags/list', authority);
  assert.notEqual(after.serial, before.serial);
  assert.deepEqual([before.status, after.status], [404, 401], 'the rules are the new ones, too');
  await assert.rejects(
    registry.registry.reload({
      ...config,
      http: { ...config.http, tls: { ...config.http.tls, key: '/none' } },
    }),
    { code: 'TLS_INVALID' },
  );
  assert.equal(await status('/v2/', alice), 200);
});

test('asks every client for a certificate when it has authorities of clients', async (t) => {
  const folder = temporaryRoot(t);
  const authority = makeCertificate(folder, 'authority', { ca: true });
  const server = makeCertificate(folder, 'server', {
    issuer: authority,
    extension: 'subjectAltName=IP:127.0.0.1',
  });
  const alice = makeCertificate(folder, 'alice', {
    issuer: authority,
    extension: 'subjectAltName=email:a@example',
  });
  const registry = await startTestRegistry(t, {
    http: {
      addr: '127.0.0.1:0',
      tls: {
        certificate: server.certificatePath,
        key: server.keyPath,
        clientcas: [authority.certificatePath],
      },
    },
    auth: {
      certificate: { name: 'email' },
      rules: [{ who: ['user:a@example'], repositories: ['a'], actions: ['pull'] }],
    },
  });
  await assert.rejects(call(registry.url, '/v2/', authority));
  assert.equal((await call(registry.url, '/v2/a/tags/list', authority, alice)).status, 404);
  assert.equal((await call(registry.url, '/v2/b/tags/list', authority, alice)).status, 403);
});
