import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import { digestOf, mediaTypes } from '../oci/index.ts';
import { certificateFolder } from './certificates.ts';
import { RegistryClient, type RegistryClientOptions } from './client.ts';
import { parseRetryAfter } from './session.ts';
import { fault, type Handler, serve } from './testing/fake-server.ts';

const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    config: { mediaType: mediaTypes.ociConfig, digest: digestOf('{}'), size: 2 },
    layers: [],
  }),
);
const digest = digestOf(manifest);
const send =
  (headers: Record<string, string> = {}, body: Buffer = manifest): Handler =>
  (_request, response) =>
    void response.writeHead(200, { 'content-type': mediaTypes.ociManifest, ...headers }).end(body);

test('refuses manifests that are not what was asked for or announced', async () => {
  let handler = send();
  await using server = await serve((request, response, url) => handler(request, response, url));
  await using client = new RegistryClient({ retry: { delay: 1 } });
  const repository = client.repository(`${server.host}/app`);
  assert.deepEqual((await repository.getManifest('v1')).descriptor, {
    mediaType: mediaTypes.ociManifest,
    digest,
    size: manifest.length,
  });
  await assert.rejects(repository.getManifest(digestOf('other')), {
    kind: 'data-loss',
    code: 'DIGEST_MISMATCH',
  });
  handler = send({ 'docker-content-digest': digestOf('other') });
  await assert.rejects(repository.getManifest('v1'), { kind: 'data-loss' });
  handler = send({ 'docker-content-digest': 'sha256:../../x' });
  await assert.rejects(repository.getManifest('v1'), { kind: 'invalid', code: 'DIGEST_INVALID' });
  handler = send({ 'docker-content-digest': digestOf(manifest, 'sha512') });
  assert.equal((await repository.getManifest('v1')).descriptor.digest, digestOf(manifest, 'sha512'));
  handler = send({}, Buffer.alloc(4 * 1024 * 1024 + 1));
  await assert.rejects(repository.getManifest('v1'), { kind: 'too-large' });
  handler = send({ 'content-type': 'text/html' }, Buffer.from('<html>'));
  await assert.rejects(repository.getManifest('v1'), { kind: 'invalid', code: 'MANIFEST_INVALID' });
  handler = send({ 'content-type': 'application/json' });
  assert.equal((await repository.getManifest('v1')).descriptor.mediaType, mediaTypes.ociManifest);
});

test('asks with GET where HEAD says too little', async () => {
  await using server = await serve(send());
  await using client = new RegistryClient();
  const repository = client.repository(`${server.host}/app`);
  assert.deepEqual(await repository.headManifest('v1'), {
    mediaType: mediaTypes.ociManifest,
    digest,
    size: manifest.length,
  });
});

test('makes a path of nothing but tags and digests', async () => {
  await using server = await serve(send());
  await using client = new RegistryClient();
  const repository = client.repository(`${server.host}/app`);
  for (const name of ['../../x', 'a/b', '', 'v1?x=1', 'sha256:../x']) {
    await assert.rejects(repository.getManifest(name), { kind: 'invalid' }, name);
  }
  assert.deepEqual(server.seen, []);
});

test('says in words what went wrong', async () => {
  await using server = await serve((_request, response, url) => {
    if (url.pathname.includes('denied')) fault(response, 403, 'DENIED');
    else if (url.pathname.includes('html')) response.writeHead(404).end('<html>no</html>');
    else if (url.pathname.includes('rude'))
      response
        .writeHead(400)
        .end(JSON.stringify({ errors: [{ code: 'X', message: `a\u001b[31m\n${'b'.repeat(10_000)}` }] }));
    else fault(response, 404, 'MANIFEST_UNKNOWN');
  });
  await using client = new RegistryClient({ retry: { attempts: 1 } });
  const get = (name: string): Promise<unknown> =>
    client.repository(`${server.host}/${name}`).getManifest('v1');
  await assert.rejects(get('denied'), {
    kind: 'not-found',
    code: 'DENIED',
    message: `pull access denied for ${server.host}/denied, repository does not exist or may require 'docker login': denied: denied`,
  });
  await assert.rejects(get('html'), {
    kind: 'not-found',
    message: `${server.host}/html: received unexpected HTTP status: 404`,
  });
  await assert.rejects(
    get('rude'),
    (error: Error) => error.message.length < 700 && !/[^\x20-\x7e]/.test(error.message),
  );
  await assert.rejects(client.repository(`${server.host}/denied`).deleteManifest(digest), {
    kind: 'forbidden',
    message: 'denied: denied',
  });
});

test('names the address that refuses a connection', async () => {
  const server = await serve(send());
  await server[Symbol.asyncDispose]();
  await using client = new RegistryClient({ retry: { delay: 1 } });
  await assert.rejects(client.repository(`${server.host}/app`).getManifest('v1'), {
    kind: 'unavailable',
    code: 'REGISTRY_UNREACHABLE',
    message: `Get "http://${server.host}/v2/": dial tcp ${server.host}: connect: connection refused`,
  });
});

test('reads from a mirror first, and from the registry when the mirror fails', async () => {
  let broken = false;
  await using mirror = await serve((request, response, url) =>
    broken ? fault(response, 404, 'NAME_UNKNOWN') : send()(request, response, url),
  );
  await using client = new RegistryClient({
    mirrors: [`http://${mirror.host}`],
    credentials: async (host) => (host === 'docker.io' ? { username: 'hub', password: 'secret' } : undefined),
    // Certificates that cannot be read stop the connection to docker.io before it begins.
    tls: (host) => (host === 'registry-1.docker.io' ? { cert: 'none', ca: ['none'] } : undefined),
    retry: { attempts: 1 },
  });
  const repository = client.repository('app');
  assert.equal((await repository.getManifest('v1')).descriptor.digest, digest);
  assert.equal(mirror.seen[0]?.url.pathname, '/v2/library/app/manifests/v1');
  assert.ok(mirror.seen.every(({ authorization }) => authorization === undefined));
  broken = true;
  await assert.rejects(repository.getManifest('v1'), {
    kind: 'unavailable',
    subject: 'registry-1.docker.io',
  });
});

/** Loopback by an address that Docker does not count as loopback, so that all rules for strangers hold. */
function strangerName(host: string): string {
  return `[::ffff:7f00:1]:${host.split(':')[1]}`;
}

/** A self-signed certificate for the stranger's address; undefined (and the test skipped) without openssl. */
function makeCertificate(
  context: TestContext,
): { readonly folder: string; readonly key: string; readonly cert: string } | undefined {
  const folder = mkdtempSync('/var/tmp/varve-tls-');
  context.after(() => rmSync(folder, { recursive: true }));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
  const name = ['-subj', '/CN=test', '-addext', 'subjectAltName=IP:::ffff:7f00:1'];
  const options = ['req', '-x509', ...curve, ...name, '-nodes', '-keyout', key, '-out', cert];
  try {
    execFileSync('openssl', options, { stdio: 'ignore' });
  } catch {
    context.skip('openssl is not installed');
    return undefined;
  }
  return { folder, key, cert };
}

test('speaks TLS where the registry does, and checks certificates unless it is loopback or insecure', async (context) => {
  const pair = makeCertificate(context);
  if (pair === undefined) return;
  const { folder, key, cert } = pair;
  await using server = await serve(send(), { key: readFileSync(key), cert: readFileSync(cert) });
  const stranger = strangerName(server.host);
  mkdirSync(join(folder, stranger));
  copyFileSync(cert, join(folder, stranger, 'ca.crt'));
  const get = async (host: string, options: RegistryClientOptions): Promise<string> => {
    await using client = new RegistryClient({ retry: { attempts: 1 }, ...options });
    return (await client.repository(`${host}/app`).getManifest('v1')).descriptor.digest;
  };
  assert.equal(await get(server.host, {}), digest);
  await assert.rejects(get(stranger, {}), {
    code: 'REGISTRY_UNREACHABLE',
    message: /self-signed certificate/,
  });
  assert.equal(await get(stranger, { insecureRegistries: [stranger] }), digest);
  assert.equal(await get(stranger, { tls: certificateFolder(folder) }), digest);
});

test("trusts the authorities of the system's store", async (context) => {
  const pair = makeCertificate(context);
  if (pair === undefined) return;
  await using server = await serve(send(), { key: readFileSync(pair.key), cert: readFileSync(pair.cert) });
  const script = `
    const { RegistryClient } = await import(${JSON.stringify(new URL('client.ts', import.meta.url).href)});
    const client = new RegistryClient({ retry: { attempts: 1 } });
    const manifest = await client.repository('${strangerName(server.host)}/app').getManifest('v1');
    console.log(manifest.descriptor.digest);`;
  // The store is read once in a process, so this takes one of its own.
  const env = { PATH: process.env['PATH'], SSL_CERT_FILE: pair.cert };
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env,
  });
  assert.equal(stdout.trim(), digest);
});

test('uses plain HTTP with strangers only when told', async () => {
  await using server = await serve(send());
  const stranger = strangerName(server.host);
  await using client = new RegistryClient({ retry: { attempts: 1 } });
  await assert.rejects(client.repository(`${stranger}/app`).getManifest('v1'), {
    kind: 'unavailable',
    message: /http: server gave HTTP response to HTTPS client$/,
    hint: /insecure registry/,
  });
  assert.deepEqual(server.seen, []);
  await using insecure = new RegistryClient({ insecureRegistries: [stranger], retry: { attempts: 1 } });
  assert.equal((await insecure.repository(`${stranger}/app`).getManifest('v1')).descriptor.digest, digest);
});

test('asks strangers through a proxy, loopback without', async () => {
  await using server = await serve(send());
  const stranger = strangerName(server.host);
  const tunnels: string[] = [];
  const proxy = createServer((incoming, response) => {
    const target = new URL(incoming.url ?? '');
    tunnels.push(target.host);
    const forward = request({
      host: '127.0.0.1',
      port: target.port,
      path: target.pathname,
      headers: incoming.headers,
    });
    forward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    forward.end();
  });
  proxy.on('connect', (incoming, socket: Socket) => {
    tunnels.push(incoming.url ?? '');
    const upstream = connect(Number(server.host.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
    socket.on('error', () => upstream.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const options = { insecureRegistries: [stranger], retry: { attempts: 1 } };
  try {
    await using client = new RegistryClient({ ...options, proxy: { http: address, https: address } });
    await client.repository(`${stranger}/app`).getManifest('v1');
    assert.ok(tunnels.length > 0 && tunnels.every((target) => target === stranger), tunnels.join(' '));
    const before = tunnels.length;
    await client.repository(`${server.host}/app`).getManifest('v1');
    await using direct = new RegistryClient({ ...options, proxy: { http: address, none: '*' } });
    await direct.repository(`${stranger}/app`).getManifest('v1');
    assert.equal(tunnels.length, before);
  } finally {
    proxy.close();
    proxy.closeAllConnections();
  }
});

test('refuses mirrors that are no plain address', () => {
  for (const mirror of [
    '',
    'mirror',
    'ftp://mirror',
    'https://mirror/path',
    'https://a:b@mirror',
    'https://mirror/?x',
  ]) {
    assert.throws(() => new RegistryClient({ mirrors: [mirror] }), { code: 'MIRROR_INVALID' }, mirror);
  }
});

test('reads Retry-After as seconds or as a date', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(parseRetryAfter('120', now), 120);
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:00:30 GMT', now), 30);
  assert.equal(parseRetryAfter('Thu, 01 Jan 2020 00:00:30 GMT', now), 0);
  assert.equal(parseRetryAfter('99999999999', now), 3600);
  assert.equal(parseRetryAfter('soon', now), undefined);
  assert.equal(parseRetryAfter(undefined, now), undefined);
});
