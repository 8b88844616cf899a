import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf, mediaTypes } from '../oci/index.ts';
import { Authorizer } from './authorizer.ts';
import { RegistryClient } from './client.ts';
import { Endpoint } from './endpoint.ts';
import { type FakeServer, fault, type Handler, json, readBody, serve } from './testing/fake-server.ts';
import { Transport } from './transport.ts';
import type { RegistryCredentials } from './types.ts';

const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config: { mediaType: mediaTypes.ociConfig, digest: digestOf('{}'), size: 2 },
    layers: [],
  }),
);

function sendManifest(response: Parameters<Handler>[1]): void {
  response
    .writeHead(200, { 'content-type': mediaTypes.ociManifest, 'docker-content-digest': digestOf(manifest) })
    .end(manifest);
}

/** A registry that wants the token of the realm for everything. */
async function guardedRegistry(
  realm: () => string,
  good: (token: string) => boolean,
  then: Handler = (_request, response) => sendManifest(response),
): Promise<FakeServer> {
  return await serve((request, response, url) => {
    const token = /^Bearer (.*)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token !== undefined && good(token)) return then(request, response, url);
    return fault(response, 401, 'UNAUTHORIZED', {
      'www-authenticate': `Bearer realm="${realm()}",service="the registry"`,
    });
  });
}

function clientFor(credentials?: RegistryCredentials): RegistryClient {
  return new RegistryClient({ credentials: async () => credentials, retry: { delay: 1 } });
}

test('gets one token for a scope and uses it again', async () => {
  await using realm = await serve((_request, response) =>
    json(response, 200, { token: 'good', expires_in: 300 }),
  );
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    (token) => token === 'good',
  );
  await using client = clientFor();
  const repository = client.repository(`${registry.host}/app`);
  await Promise.all(Array.from({ length: 8 }, () => repository.getManifest('v1')));
  await repository.getManifest('v2');
  const asked = realm.to('/token');
  assert.equal(asked.length, 1);
  assert.equal(asked[0]?.url.searchParams.get('service'), 'the registry');
  assert.deepEqual(asked[0]?.url.searchParams.getAll('scope'), ['repository:app:pull']);
  assert.equal(asked[0]?.authorization, undefined);
  // The probe brought the challenge, so no manifest was asked for in vain.
  assert.equal(registry.to('/v2/app/manifests/v1').length, 8);
});

test('sends credentials to a realm on another host only where that is allowed', async () => {
  await using realm = await serve((_request, response) => json(response, 200, { token: 'good' }));
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    (token) => token === 'good',
  );
  const get = async (allowed: boolean, credentials?: RegistryCredentials): Promise<unknown> => {
    await using client = new RegistryClient({
      credentials: async () => credentials,
      realms: (from, to) => allowed && from === registry.host && to === realm.host,
      retry: { attempts: 1 },
    });
    return await client.repository(`${registry.host}/app`).getManifest('v1');
  };
  const alice = { username: 'alice', password: 'secret' };
  await assert.rejects(get(false, alice), { kind: 'unauthorized', code: 'REALM_REFUSED' });
  assert.equal(realm.seen.length, 0);
  await get(false);
  assert.deepEqual(
    realm.seen.map(({ authorization }) => authorization),
    [undefined],
  );
  await get(true, alice);
  assert.match(String(realm.seen.at(-1)?.authorization), /^Basic /);
});

test('sends name and password to the realm, and the token alone to the registry', async () => {
  await using realm = await serve((_request, response) => json(response, 200, { access_token: 'good' }));
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    (token) => token === 'good',
  );
  await using client = clientFor({ username: 'alice', password: 'secret' });
  await client.repository(`${registry.host}/app`).getManifest('v1');
  assert.equal(realm.seen[0]?.authorization, `Basic ${Buffer.from('alice:secret').toString('base64')}`);
  assert.equal(realm.seen[0]?.url.searchParams.get('account'), 'alice');
  assert.ok(
    registry.seen.every(
      ({ authorization }) => authorization === undefined || authorization === 'Bearer good',
    ),
  );
});

test('exchanges an identity token by POST', async () => {
  const forms: URLSearchParams[] = [];
  await using realm = await serve(async (request, response) => {
    forms.push(new URLSearchParams((await readBody(request)).toString()));
    json(response, 200, { access_token: 'good' });
  });
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    (token) => token === 'good',
  );
  await using client = clientFor({ identityToken: 'identity' });
  await client.repository(`${registry.host}/app`).getManifest('v1');
  assert.equal(realm.seen[0]?.method, 'POST');
  assert.equal(forms[0]?.get('grant_type'), 'refresh_token');
  assert.equal(forms[0]?.get('refresh_token'), 'identity');
  assert.equal(forms[0]?.get('scope'), 'repository:app:pull');
  assert.equal(forms[0]?.get('service'), 'the registry');
});

test('uses a registry token as it is', async () => {
  await using registry = await guardedRegistry(
    () => 'http://127.0.0.1:1/token',
    (token) => token === 'given',
  );
  await using client = clientFor({ registryToken: 'given' });
  await client.repository(`${registry.host}/app`).getManifest('v1');
});

test('gets a new token when the old one is refused in the middle of the work', async () => {
  let issued = 0;
  let revoked = 0;
  await using realm = await serve((_request, response) =>
    json(response, 200, { token: `t${++issued}`, expires_in: 3600 }),
  );
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    (token) => Number(token.slice(1)) > revoked,
  );
  await using client = clientFor();
  const repository = client.repository(`${registry.host}/app`);
  await repository.getManifest('v1');
  revoked = 1;
  await repository.getManifest('v1');
  assert.equal(issued, 2);
});

test('gives up when new tokens are refused too', async () => {
  let issued = 0;
  await using realm = await serve((_request, response) => json(response, 200, { token: `t${++issued}` }));
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    () => false,
  );
  await using client = clientFor();
  await assert.rejects(client.repository(`${registry.host}/app`).getManifest('v1'), {
    kind: 'unauthorized',
    code: 'UNAUTHORIZED',
    message: 'unauthorized: unauthorized',
  });
  assert.equal(issued, 2);
});

test("passes on the realm's refusal", async () => {
  await using realm = await serve((_request, response) =>
    json(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] }),
  );
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    () => false,
  );
  await using client = clientFor({ username: 'alice', password: 'wrong' });
  await assert.rejects(client.repository(`${registry.host}/app`).getManifest('v1'), {
    kind: 'unauthorized',
    message: 'unauthorized: incorrect username or password',
  });
  await assert.rejects(client.login(registry.host, { username: 'alice', password: 'wrong' }), {
    kind: 'unauthorized',
  });
});

test('a cancelled request does not take the token from others who wait for it', async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await using realm = await serve(async (_request, response) => {
    asked.resolve();
    await go.promise;
    json(response, 200, { token: 'good' });
  });
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    (token) => token === 'good',
  );
  await using client = clientFor();
  const repository = client.repository(`${registry.host}/app`);
  const controller = new AbortController();
  const first = repository.getManifest('v1', { signal: controller.signal });
  await asked.promise;
  const second = repository.getManifest('v1');
  controller.abort();
  await assert.rejects(first, { kind: 'cancelled' });
  go.resolve();
  await second;
  assert.equal(realm.seen.length, 1);
});

test('keeps the tokens of repositories and actions apart', async () => {
  await using realm = await serve((_request, response, url) =>
    json(response, 200, { token: url.searchParams.getAll('scope').join('|').replaceAll(' ', '') }),
  );
  await using registry = await guardedRegistry(
    () => `http://${realm.host}/token`,
    () => true,
    async (request, response) => {
      if (request.method === 'GET') return sendManifest(response);
      await readBody(request);
      response.writeHead(201).end();
    },
  );
  await using client = clientFor();
  const raw = await client.repository(`${registry.host}/a`).getManifest('v1');
  await client.repository(`${registry.host}/b`).putManifest('v1', raw);
  await client.repository(`${registry.host}/b`).mountBlob(digestOf('x'), 'a');
  const last = (path: string): string | undefined => registry.to(path).at(-1)?.authorization;
  assert.equal(last('/v2/a/manifests/v1'), 'Bearer repository:a:pull');
  assert.equal(last('/v2/b/manifests/v1'), 'Bearer repository:b:pull,push');
  assert.equal(last('/v2/b/blobs/uploads/'), 'Bearer repository:b:pull,push|repository:a:pull');
});

test('shows credentials to no host it is redirected to, and listens to no challenge there', async () => {
  await using trap = await serve((_request, response) => json(response, 200, { token: 'x' }));
  const data = Buffer.from('the blob');
  await using other = await serve((_request, response, url) => {
    if (url.pathname === '/signed') response.end(data);
    else
      fault(response, 401, 'UNAUTHORIZED', {
        'www-authenticate': `Bearer realm="http://${trap.host}/token"`,
      });
  });
  await using registry = await serve((request, response, url) => {
    if (request.headers.authorization === undefined)
      return fault(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="r"' });
    const place = url.pathname.endsWith(digestOf(data)) ? '/signed' : '/evil';
    response.writeHead(307, { location: `http://${other.host}${place}` }).end();
  });
  await using client = clientFor({ username: 'alice', password: 'secret' });
  const repository = client.repository(`${registry.host}/app`);
  const { body } = await repository.getBlob({ mediaType: 'x/y', digest: digestOf(data), size: data.length });
  assert.deepEqual(Buffer.concat(await Array.fromAsync(body)), data);
  await assert.rejects(repository.getBlob({ mediaType: 'x/y', digest: digestOf('other'), size: 1 }), {
    kind: 'unauthorized',
  });
  assert.equal(other.seen.length, 2);
  assert.ok(other.seen.every(({ authorization }) => authorization === undefined));
  assert.deepEqual(trap.seen, []);
});

test('ends after some redirects', async () => {
  await using registry = await serve((_request, response, url) => {
    response.writeHead(307, { location: `${url.pathname}x` }).end();
  });
  await using client = clientFor();
  await assert.rejects(client.repository(`${registry.host}/app`).getManifest('v1'), {
    code: 'REGISTRY_BROKEN',
  });
  assert.ok(registry.seen.length < 10);
});

test('sends an upload elsewhere without credentials', async () => {
  const uploaded: Buffer[] = [];
  await using store = await serve(async (request, response) => {
    uploaded.push(await readBody(request));
    response.writeHead(201).end();
  });
  await using registry = await serve((request, response) => {
    if (request.headers.authorization === undefined)
      return fault(response, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="r"' });
    response.writeHead(202, { location: `http://${store.host}/put?signed=1` }).end();
  });
  await using client = clientFor({ username: 'alice', password: 'secret' });
  const data = Buffer.from('data');
  await client
    .repository(`${registry.host}/app`)
    .putBlob({ digest: digestOf(data), size: 4 }, async function* () {
      yield data;
    });
  assert.deepEqual(uploaded, [data]);
  assert.equal(store.seen[0]?.authorization, undefined);
  assert.equal(store.seen[0]?.url.searchParams.get('signed'), '1');
});

test('follows pages of tags on the same host only', async () => {
  await using other = await serve((_request, response) => json(response, 200, { tags: ['stolen'] }));
  await using registry = await serve((_request, response, url) => {
    const page = Number(url.searchParams.get('page') ?? 1);
    const next =
      page < 3
        ? `</v2/app/tags/list?page=${page + 1}>; rel="next"`
        : `<http://${other.host}/v2/app/tags/list>; rel="next"`;
    json(response, 200, { name: 'app', tags: [`v${page}`, '../evil', 7] }, { link: next });
  });
  await using client = clientFor();
  assert.deepEqual(await Array.fromAsync(client.repository(`${registry.host}/app`).listTags()), [
    'v1',
    'v2',
    'v3',
  ]);
  assert.deepEqual(other.seen, []);
});

test('refuses a realm in clear behind a registry with TLS', () => {
  const transport = new Transport({ userAgent: 'test' });
  const learn = (realm: string): boolean => {
    const authorizer = new Authorizer(
      new Endpoint('registry.example', { insecure: false }),
      transport,
      async () => undefined,
      () => false,
    );
    return authorizer.learn({
      status: 401,
      url: new URL('https://registry.example/v2/'),
      header: () => `Bearer realm="${realm}"`,
      body: (async function* () {})(),
      read: async () => Buffer.alloc(0),
      discard: async () => undefined,
    });
  };
  assert.equal(learn('https://auth.example/token'), true);
  for (const realm of [
    'http://auth.example/token',
    'http://127.0.0.1/token',
    'file:///etc/passwd',
    'https://a:b@auth.example/',
  ]) {
    assert.throws(() => learn(realm), { code: 'REALM_REFUSED' }, realm);
  }
});
