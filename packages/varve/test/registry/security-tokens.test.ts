import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import {
  atEnd,
  startTestRegistry,
  type TestRegistry,
  temporaryRoot,
} from '../../src/registry/testing/index.ts';
import { bearer, detailOf, type KeyPair, makeCertificate, repository, signToken } from './auth-fixtures.ts';
import { libtrustFingerprint } from './libtrust.ts';

interface Outside {
  readonly registry: TestRegistry;
  readonly root: KeyPair;
  readonly leaf: KeyPair;
  readonly folder: string;
}

/** A registry that believes an outside auth server by its certificate bundle. */
async function outside(t: TestContext, extra: object = {}): Promise<Outside> {
  const folder = temporaryRoot(t);
  const root = makeCertificate(folder, 'root', { ca: true });
  const leaf = makeCertificate(folder, 'leaf', { issuer: root });
  const registry = await startTestRegistry(t, {
    auth: {
      token: {
        realm: 'https://auth.example/token',
        service: 'registry.example',
        issuer: 'auth.example',
        rootcertbundle: root.certificatePath,
        ...extra,
      },
    },
  });
  return { registry, root, leaf, folder };
}

const x5cOf = (...pairs: readonly KeyPair[]): string[] =>
  pairs.map(({ certificate }) => certificate.raw.toString('base64'));
const pull = repository('team/app', 'pull');
const push = repository('team/app', 'pull', 'push');

test('challenges as Docker’s token spec says', async (t) => {
  const { registry } = await outside(t);
  const challengeOf = async (method: string, path: string): Promise<unknown> => {
    const answer = await registry.call(method, path);
    assert.deepEqual([answer.status, answer.codes()], [401, ['UNAUTHORIZED']]);
    return answer.headers['www-authenticate'];
  };
  const start = 'Bearer realm="https://auth.example/token",service="registry.example"';
  assert.equal(await challengeOf('GET', '/v2/'), start);
  assert.equal(await challengeOf('GET', '/v2/a/b/tags/list'), `${start},scope="repository:a/b:pull"`);
  assert.equal(
    await challengeOf('POST', '/v2/a/b/blobs/uploads/'),
    `${start},scope="repository:a/b:pull,push"`,
  );
  assert.equal(await challengeOf('DELETE', '/v2/a/b/manifests/v1'), `${start},scope="repository:a/b:delete"`);
  assert.equal(await challengeOf('GET', '/v2/_catalog'), `${start},scope="registry:catalog:*"`);
});

test('takes tokens by certificate chain and by key id, as distribution signs them', async (t) => {
  const { registry, root, leaf } = await outside(t);
  const tokens = [
    await signToken(leaf.key, [push], { header: { x5c: x5cOf(leaf) } }),
    await signToken(leaf.key, [push], { header: { x5c: x5cOf(leaf, root) } }),
    await signToken(root.key, [push], { header: { kid: libtrustFingerprint(root.certificate.publicKey) } }),
    await signToken(leaf.key, [push], {
      header: { jwk: { ...createPublicKey(leaf.key).export({ format: 'jwk' }), x5c: x5cOf(leaf) } },
    }),
  ];
  for (const token of tokens) {
    assert.equal((await registry.call('GET', '/v2/', { headers: bearer(token) })).status, 200);
    const upload = await registry.call('POST', '/v2/team/app/blobs/uploads/', { headers: bearer(token) });
    assert.equal(upload.status, 202);
  }
});

test('takes tokens by PEM key, by a file of keys and by a URL of keys, which is not asked for every odd name', async (t) => {
  const folder = temporaryRoot(t);
  const first = generateKeyPairSync('ed25519');
  const second = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = join(folder, 'key.pem');
  writeFileSync(pem, first.publicKey.export({ type: 'spki', format: 'pem' }));
  let asked = 0;
  const server = createServer((_, response) => {
    asked++;
    response.end(JSON.stringify({ keys: [{ ...second.publicKey.export({ format: 'jwk' }), kid: 'two' }] }));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => void server.close());
  const { port } = server.address() as { port: number };
  const file = join(folder, 'keys.json');
  writeFileSync(
    file,
    JSON.stringify({ keys: [{ ...second.publicKey.export({ format: 'jwk' }), kid: 'two' }] }),
  );
  for (const jwks of [file, `http://127.0.0.1:${port}/keys`]) {
    const registry = await startTestRegistry(t, {
      auth: {
        token: {
          realm: 'https://auth.example/token',
          service: 'registry.example',
          issuer: 'auth.example',
          publickeys: [pem],
          jwks,
        },
      },
    });
    const status = async (token: string): Promise<number> =>
      (await registry.call('GET', '/v2/', { headers: bearer(token) })).status;
    const eddsa = await signToken(first.privateKey, [], { algorithm: 'EdDSA' });
    assert.equal(await status(eddsa), 200);
    for (const algorithm of ['RS256', 'PS512']) {
      assert.equal(
        await status(await signToken(second.privateKey, [], { algorithm, header: { kid: 'two' } })),
        200,
      );
    }
    for (let n = 0; n < 5; n++) {
      const unknown = await signToken(second.privateKey, [], {
        algorithm: 'RS256',
        header: { kid: `no-${n}` },
      });
      assert.equal(await status(unknown), 401);
    }
  }
  assert.ok(asked <= 2, `unknown names of keys made ${asked} requests`);
});

test('refuses every token that is not right, says which way, and shows nothing after', async (t) => {
  const { registry, root, leaf, folder } = await outside(t);
  const stranger = makeCertificate(folder, 'stranger', { ca: true });
  const unauthorized = makeCertificate(folder, 'unauthorized', { issuer: leaf });
  const chain = { x5c: x5cOf(leaf) };
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: 'auth.example',
    aud: 'registry.example',
    exp: Math.floor(Date.now() / 1000) + 300,
    access: [push],
  };
  const publicPem = createPublicKey(root.key).export({ type: 'spki', format: 'pem' });
  const good = await signToken(leaf.key, [push], { header: chain });
  const [head = '', body = '', signature = ''] = good.split('.');
  const widened = part({ ...claims, access: [repository('team/app', '*')] });
  const cases: Readonly<Record<string, string>> = {
    'alg none': `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`,
    'alg None': `${part({ alg: 'None', typ: 'JWT' })}.${part(claims)}.${signature}`,
    'HS256 with the public key': await signToken(Buffer.from(publicPem), [push], {
      algorithm: 'HS256',
      header: { kid: libtrustFingerprint(root.certificate.publicKey) },
    }),
    'embedded key': await signToken(stranger.key, [push], {
      header: { jwk: createPublicKey(stranger.key).export({ format: 'jwk' }) },
    }),
    'embedded key with a chain of another': await signToken(stranger.key, [push], {
      header: { jwk: { ...createPublicKey(stranger.key).export({ format: 'jwk' }), x5c: x5cOf(leaf) } },
    }),
    'chain of a stranger': await signToken(stranger.key, [push], { header: { x5c: x5cOf(stranger) } }),
    'chain with a stranger’s key': await signToken(stranger.key, [push], { header: chain }),
    'issuer that is no authority': await signToken(unauthorized.key, [push], {
      header: { x5c: x5cOf(unauthorized, leaf) },
    }),
    'kid that is a path': await signToken(stranger.key, [push], {
      header: { kid: `../../../../../..${stranger.certificatePath}` },
    }),
    'kid that is a URL': await signToken(stranger.key, [push], {
      header: { kid: 'http://127.0.0.1:1/k', jku: 'http://127.0.0.1:1/k', x5u: 'http://127.0.0.1:1/c' },
    }),
    'kid that is SQL': await signToken(stranger.key, [push], { header: { kid: "' OR 1=1 --" } }),
    expired: await signToken(leaf.key, [push], { header: chain, expires: -120 }),
    'not yet valid': await signToken(leaf.key, [push], { header: chain, notBefore: 200 }),
    'wrong audience': await signToken(leaf.key, [push], { header: chain, audience: 'other.example' }),
    'wrong issuer': await signToken(leaf.key, [push], { header: chain, issuer: 'evil.example' }),
    'unknown critical header': signRaw(leaf, { ...chain, crit: ['x'], x: 1 }, claims),
    'widened scope': `${head}.${widened}.${signature}`,
    'no end': signRaw(leaf, chain, { ...claims, exp: undefined }),
    'no signature': `${head}.${body}.`,
    'half a token': `${head}.${body}`,
    'not a token': 'AAAA',
    'empty x5c': await signToken(leaf.key, [push], { header: { x5c: [] } }),
    'access that is no list': await signToken(leaf.key, [], { header: chain, claims: { access: 'all' } }),
  };
  for (const [what, token] of Object.entries(cases)) {
    const answer = await registry.call('POST', '/v2/team/app/blobs/uploads/', { headers: bearer(token) });
    assert.deepEqual([what, answer.status, answer.codes()], [what, 401, ['UNAUTHORIZED']]);
    assert.match(String(answer.headers['www-authenticate']), /,error="invalid_token"$/, what);
    assert.equal(typeof detailOf(answer)['reason'], 'string', what);
  }
  const fine = await registry.call('POST', '/v2/team/app/blobs/uploads/', { headers: bearer(good) });
  assert.equal(fine.status, 202);
  const catalog = await signToken(leaf.key, [{ type: 'registry', name: 'catalog', actions: ['*'] }], {
    header: chain,
  });
  const listed = await registry.call('GET', '/v2/_catalog', { headers: bearer(catalog) });
  assert.deepEqual(listed.json(), { repositories: [] });
});

/** Signs what jose would not. */
function signRaw(leaf: KeyPair, header: object, claims: object): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = `${encode({ alg: 'ES256', ...header })}.${encode(claims)}`;
  const signature = sign('sha256', Buffer.from(input), { key: leaf.key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

test('lets a token do what it says and not more, in its repository and not in others', async (t) => {
  const { registry, leaf } = await outside(t);
  const header = { x5c: x5cOf(leaf) };
  const pulls = bearer(await signToken(leaf.key, [pull], { header }));
  const pushes = bearer(await signToken(leaf.key, [push], { header }));
  const other = bearer(await signToken(leaf.key, [repository('team/other', '*')], { header }));
  const upload = (headers: Record<string, string>, name = 'team/app'): Promise<{ status: number }> =>
    registry.call('POST', `/v2/${name}/blobs/uploads/`, { headers });
  assert.equal((await upload(pushes)).status, 202);
  assert.equal((await upload(other, 'team/other')).status, 202);
  for (const [headers, name] of [
    [pulls, 'team/app'],
    [other, 'team/app'],
    [pushes, 'team/other'],
    [pushes, 'team/app2'],
    [pushes, 'team/app/sub'],
  ] as const) {
    const answer = await registry.call('POST', `/v2/${name}/blobs/uploads/`, { headers });
    assert.equal(answer.status, 401, name);
    assert.match(
      String(answer.headers['www-authenticate']),
      /scope="repository:[^"]+:pull,push",error="insufficient_scope"$/,
    );
    const { asked, held, reason } = detailOf(answer);
    assert.equal(asked, `repository:${name}:pull,push`);
    assert.deepEqual(held, headers === pulls ? ['repository:team/app:pull'] : []);
    assert.equal(reason, 'the token does not have the scope');
  }
  assert.equal((await registry.call('DELETE', '/v2/team/app/manifests/v1', { headers: pushes })).status, 401);
  assert.equal((await registry.call('GET', '/v2/_catalog', { headers: pushes })).status, 401);
});

test('asks for the realm on the host that was asked, and on no text that is no host', async (t) => {
  const { registry } = await outside(t, { realm: undefined, autoredirect: true });
  for (const [host, expected] of [
    ['registry.example:5000', 'https://registry.example:5000/auth/token'],
    ['x",realm="https://evil.example/', 'https://localhost/auth/token'],
  ] as const) {
    const answer = await registry.call('GET', '/v2/', { headers: { Host: host } });
    const challenge = String(answer.headers['www-authenticate']);
    assert.equal(challenge, `Bearer realm="${expected}",service="registry.example"`);
  }
});
