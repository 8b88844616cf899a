import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pino } from 'pino';
import { atEnd, eventually, temporaryRoot } from '../testing/index.ts';
import { fetchJson, isTrustworthy } from './fetch-json.ts';
import { FileKeys, RemoteKeys } from './key-source.ts';
import { fitsAlgorithm, keysOfJwks } from './trusted-keys.ts';

const silent = pino({ level: 'silent' });
const key = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const jwk = (publicKey: KeyObject, kid: string): object => ({ ...publicKey.export({ format: 'jwk' }), kid });

async function serve(t: TestContext, listener: RequestListener): Promise<URL> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as { port: number }).port}/keys`);
}

test('follows no redirect, reads no more than a MiB, and nothing in clear from elsewhere', async (t) => {
  let reached = 0;
  const target = await serve(t, (_, response) => {
    reached++;
    response.end('{}');
  });
  const redirect = await serve(t, (_, response) => response.writeHead(302, { location: target.href }).end());
  const huge = await serve(t, (_, response) => {
    response.write('[');
    const more = (): void => {
      while (
        !response.destroyed &&
        response.write('"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",'.repeat(1000))
      );
    };
    response.on('drain', more);
    more();
  });
  const failing = await serve(t, (_, response) => response.writeHead(500).end('{}'));
  const junk = await serve(t, (_, response) => response.end('<html>'));
  for (const url of [redirect, huge, failing, junk, new URL('http://192.0.2.1/keys')]) {
    await assert.rejects(fetchJson(url), { kind: 'unavailable', code: 'FETCH_FAILED' });
  }
  assert.equal(reached, 0);
  assert.deepEqual(await fetchJson(target), {});
  for (const [text, good] of [
    ['https://example.com/k', true],
    ['http://127.0.0.1/k', true],
    ['http://localhost:80/k', true],
    ['http://127.0.0.1.evil.example/k', false],
    ['http://example.com/k', false],
    ['https://user:pass@example.com/k', false],
    ['file:///etc/passwd', false],
  ] as const) {
    assert.equal(isTrustworthy(new URL(text)), good, text);
  }
});

test('asks anew after ten minutes, for an unknown name after half a minute, and serves what it has when nobody answers', async (t) => {
  let [asked, now, up] = [0, 0, true];
  const [one, two] = [key(), key()];
  let keys = [jwk(one, 'one')];
  const url = await serve(t, (_, response) => {
    asked++;
    response.writeHead(up ? 200 : 503).end(JSON.stringify({ keys }));
  });
  const source = new RemoteKeys(
    async () => url,
    silent,
    () => now,
  );
  const find = async (kid: string): Promise<number> => (await source.find(kid, 'ES256')).length;
  assert.deepEqual(await Promise.all([find('one'), find('one'), find('two')]), [1, 1, 0]);
  assert.equal(asked, 1);
  keys = [jwk(two, 'two')];
  now += 29_000;
  assert.deepEqual([await find('two'), asked], [0, 1]);
  now += 2000;
  assert.deepEqual([await find('two'), asked], [1, 2]);
  assert.equal(await find('one'), 0, 'a withdrawn key is gone');
  up = false;
  now += 11 * 60_000;
  assert.deepEqual([await find('two'), asked], [1, 3]);
  now += 25 * 3_600_000;
  await assert.rejects(find('two'), { kind: 'unavailable' });
  up = true;
  now += 31_000;
  assert.equal(await find('two'), 1);
});

test('reads a changed file of keys again', async (t) => {
  const path = join(temporaryRoot(t), 'keys.json');
  writeFileSync(path, JSON.stringify({ keys: [jwk(key(), 'one')] }));
  const source = new FileKeys(path, silent);
  assert.equal(source.find('one', 'ES256').length, 1);
  writeFileSync(path, JSON.stringify({ keys: [jwk(key(), 'two'), jwk(key(), 'three')] }));
  await eventually(() => source.find('two', 'ES256').length === 1, 'the file is read again');
  assert.equal(source.find('one', 'ES256').length, 0);
  assert.equal(source.find(undefined, 'ES256').length, 2);
  assert.throws(() => new FileKeys('/none', silent), { code: 'KEY_INVALID' });
});

test('leaves out of a key set what cannot verify: secrets, encryption keys, private and weak ones', () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const keys = keysOfJwks({
    keys: [
      { kty: 'oct', k: 'c2VjcmV0', kid: 'secret' },
      { ...jwk(pair.publicKey, 'enc'), use: 'enc' },
      { ...pair.privateKey.export({ format: 'jwk' }), kid: 'private' },
      { kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA', kid: 'broken' },
      { kty: 'XYZ' },
      null,
      'text',
      jwk(pair.publicKey, 'good'),
      jwk(weak, 'weak'),
    ],
  });
  assert.deepEqual(
    keys.map(({ ids }) => ids[0]),
    ['good', 'weak'],
  );
  assert.equal(fitsAlgorithm(weak, 'RS256'), false);
  assert.equal(fitsAlgorithm(pair.publicKey, 'ES256'), true);
  for (const algorithm of ['ES384', 'RS256', 'EdDSA', 'HS256', 'none']) {
    assert.equal(fitsAlgorithm(pair.publicKey, algorithm), false, algorithm);
  }
});
