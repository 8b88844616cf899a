import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { OssSettings } from '../../src/registry/config/index.ts';
import { ossBlock } from '../../src/registry/config/storage-backends-block.ts';
import { type OssClient, openOssClient } from '../../src/registry/storage/oss/client.ts';
import { openOssStorage } from '../../src/registry/storage/oss/index.ts';
import { testStorage } from '../../src/registry/storage/testing/suite.ts';
import type { Emulator } from './emulators/objects.ts';
import { ossAccount, startOss } from './emulators/oss.ts';
import { testServed } from './end-to-end.ts';
import { testFaults } from './fault-cases.ts';

describe('Alibaba Cloud OSS, emulated', () => {
  let server: Emulator;
  before(async () => {
    server = await startOss();
  });
  after(() => server[Symbol.asyncDispose]());

  const settings = (endpoint = server.url): OssSettings =>
    ossBlock.parse({
      accesskeyid: ossAccount.accessKeyId,
      accesskeysecret: ossAccount.accessKeySecret,
      region: ossAccount.region,
      bucket: ossAccount.bucket,
      endpoint,
      secure: false,
      rootdirectory: `root-${randomUUID()}`,
    });

  const client = (accessKeySecret: string = ossAccount.accessKeySecret): OssClient =>
    openOssClient({
      ...ossAccount,
      accessKeySecret,
      endpoint: server.url,
      secure: false,
      internal: false,
      authorizationV4: true,
      timeout: 10_000,
      retryMax: 0,
    });

  test('the emulator: Alibaba’s client writes, reads, copies, lists, signs and removes', async () => {
    const oss = client();
    const bytes = randomBytes(200_000);
    await oss.put('proof/a', bytes, { headers: {} });
    await oss.copy('proof/b', 'proof/a', { headers: {} });
    assert.equal((await oss.head('proof/b')).res.headers['content-length'], '200000');
    const { uploadId } = await oss.initMultipartUpload('proof/c', { headers: {} });
    const source = { sourceKey: 'proof/a', sourceBucketName: ossAccount.bucket };
    const first = await oss.uploadPartCopy('proof/c', uploadId, 1, '0-149999', source, { headers: {} });
    const second = await oss.uploadPartCopy('proof/c', uploadId, 2, '150000-199999', source, { headers: {} });
    assert.equal((await oss.listUploads({ prefix: 'proof/', 'max-uploads': 10 })).uploads?.length, 1);
    await oss.completeMultipartUpload('proof/c', uploadId, [
      { number: 1, etag: first.etag },
      { number: 2, etag: second.etag },
    ]);
    const chunks: Buffer[] = [];
    const { stream } = await oss.getStream('proof/c', { headers: { Range: 'bytes=1-' } });
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    assert.ok(Buffer.concat(chunks).equals(bytes.subarray(1)));
    const page = await oss.listV2({ prefix: 'proof/', 'max-keys': 2 });
    assert.deepEqual(
      [page.objects?.map(({ name }) => name), page.isTruncated],
      [['proof/a', 'proof/b'], true],
    );
    const url = await oss.signatureUrlV4('GET', 60, {}, 'proof/a');
    assert.ok(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(bytes));
    assert.equal((await fetch(url.replace('proof/a', 'proof/b'))).status, 403);
    await oss.deleteMulti(['proof/a', 'proof/none'], { quiet: true });
    await assert.rejects(oss.head('proof/a'), { status: 404 });
  });

  test('the emulator: refuses another secret’s signature, none, and parts that are too small', async () => {
    await assert.rejects(client('other').put('x', Buffer.from('x'), { headers: {} }), { status: 403 });
    assert.equal((await fetch(`${server.url}/x`)).status, 403);
    const oss = client();
    await oss.put('small', Buffer.from('x'), { headers: {} });
    const { uploadId } = await oss.initMultipartUpload('joined', { headers: {} });
    const source = { sourceKey: 'small', sourceBucketName: ossAccount.bucket };
    const { etag } = await oss.uploadPartCopy('joined', uploadId, 1, '0-0', source, { headers: {} });
    await oss.uploadPartCopy('joined', uploadId, 2, '0-0', source, { headers: {} });
    const parts = [
      { number: 1, etag },
      { number: 2, etag },
    ];
    await assert.rejects(oss.completeMultipartUpload('joined', uploadId, parts), { code: 'EntityTooSmall' });
    await oss.abortMultipartUpload('joined', uploadId);
  });

  testStorage({
    name: 'oss',
    open: async () => {
      const fixed = settings();
      const again = async () => openOssStorage(fixed, { pageKeys: 50 });
      return { storage: await again(), again };
    },
  });

  const block = async (url: string) => ({ oss: settings(url) });
  testFaults({ name: 'oss', url: () => server.url, configure: block });
  testServed({ name: 'oss', configure: () => block(server.url), redirects: true });
});
