import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Storage } from '@google-cloud/storage';
import { digestOf } from '../../src/oci/index.ts';
import type { GcsSettings } from '../../src/registry/config/index.ts';
import { gcsBlock } from '../../src/registry/config/storage-backends-block.ts';
import { openGcsStorage } from '../../src/registry/storage/gcs/index.ts';
import { testStorage } from '../../src/registry/storage/testing/suite.ts';
import { type GcsEmulator, startGcs } from './emulators/gcs.ts';
import { testServed } from './end-to-end.ts';
import { testFaults } from './fault-cases.ts';

describe('Google Cloud Storage, emulated', () => {
  let server: GcsEmulator;
  const folder = mkdtempSync(join(tmpdir(), 'varve-gcs-'));
  const keyfile = join(folder, 'key.json');
  before(async () => {
    server = await startGcs();
    writeFileSync(keyfile, JSON.stringify({ type: 'service_account', ...server.credentials }));
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const settings = (apiendpoint = server.url): GcsSettings =>
    gcsBlock.parse({
      bucket: server.bucket,
      keyfile,
      apiendpoint,
      rootdirectory: `root-${randomUUID()}`,
    });

  test('the emulator: Google’s client writes, reads, lists, composes, signs and removes', async () => {
    const bucket = client(server.credentials.private_key).bucket(server.bucket);
    const bytes = randomBytes(100_000);
    await bucket.file('proof/a').save(bytes, { resumable: false, validation: 'md5' });
    await bucket.file('proof/b b').save('end', { resumable: false, validation: 'md5' });
    const [downloaded] = await bucket.file('proof/a').download({ validation: 'md5' });
    assert.ok(downloaded.equals(bytes));
    await bucket.combine(['proof/a', 'proof/b b'], bucket.file('proof/c'));
    const [joined] = await bucket.file('proof/c').download({ validation: false, start: 99_999 });
    assert.deepEqual(joined.subarray(1).toString(), 'end');
    const pages = { prefix: 'proof/', maxResults: 2, autoPaginate: false };
    const [first, next] = await bucket.getFiles(pages);
    const [second] = await bucket.getFiles({ ...pages, ...next });
    assert.deepEqual(
      [...first, ...second].map(({ name }) => name),
      ['proof/a', 'proof/b b', 'proof/c'],
    );
    const [url] = await bucket
      .file('proof/b b')
      .getSignedUrl({ version: 'v4', action: 'read', expires: Date.now() + 60_000 });
    assert.equal(await (await fetch(url)).text(), 'end');
    assert.equal((await fetch(url.replace('proof/b', 'proof/a'))).status, 403);
    await assert.rejects(bucket.file('proof/none').getMetadata(), { code: 404 });
    await bucket.file('proof/a').delete();
    assert.deepEqual(await bucket.file('proof/a').exists(), [false]);
  });

  test('the emulator: refuses another account’s signature, and none', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const other = client(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    await assert.rejects(other.bucket(server.bucket).file('x').getMetadata(), { code: 401 });
    assert.equal((await fetch(`${server.url}/storage/v1/b/${server.bucket}/o`)).status, 401);
  });

  const client = (privateKey: string): Storage =>
    new Storage({
      apiEndpoint: server.url,
      useAuthWithCustomEndpoint: true,
      universeDomain: server.credentials.universe_domain,
      credentials: { ...server.credentials, private_key: privateKey },
      retryOptions: { autoRetry: false },
    });

  testStorage({
    name: 'gcs',
    open: async () => {
      const fixed = settings();
      const again = async () => openGcsStorage(fixed, { pageKeys: 50 });
      return { storage: await again(), again };
    },
  });

  test('gcs: composes in steps what has more chunks than one call takes', async () => {
    const storage = openGcsStorage(settings(), { chunks: { largestBytes: 1000 } });
    const bytes = randomBytes(70_000);
    const session = await storage.create(randomUUID(), 'note');
    await session.append(
      (async function* () {
        for (let start = 0; start < bytes.length; start += 1000) yield bytes.subarray(start, start + 1000);
      })(),
    );
    await session.commit(digestOf(bytes));
    const chunks: Buffer[] = [];
    for await (const chunk of await storage.read(digestOf(bytes))) chunks.push(chunk as Buffer);
    assert.ok(Buffer.concat(chunks).equals(bytes));
    for await (const { id } of storage.uploads()) assert.fail(`upload ${id} is left`);
  });

  const block = async (url: string) => ({ gcs: settings(url) });
  testFaults({ name: 'gcs', url: () => server.url, configure: block, beforeCommit: 0 });
  testServed({ name: 'gcs', configure: () => block(server.url), redirects: true });
});
