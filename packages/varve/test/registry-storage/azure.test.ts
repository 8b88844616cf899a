import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';
import { digestOf } from '../../src/oci/index.ts';
import type { AzureSettings } from '../../src/registry/config/index.ts';
import { azureBlock } from '../../src/registry/config/storage-backends-block.ts';
import { openAzureStorage } from '../../src/registry/storage/azure/index.ts';
import { testStorage } from '../../src/registry/storage/testing/suite.ts';
import { testServed } from './end-to-end.ts';
import { testFaults } from './fault-cases.ts';
import { type AzuriteServer, azuriteMissing, startAzurite } from './judges/azurite.ts';

describe('Azure', { skip: azuriteMissing }, () => {
  let server: AzuriteServer;
  before(async () => {
    server = await startAzurite();
  });
  after(() => server[Symbol.asyncDispose]());

  const newContainer = async (): Promise<AzureSettings> => {
    const container = `container-${randomUUID()}`;
    const credential = new StorageSharedKeyCredential(server.account, server.key);
    await new BlobServiceClient(server.serviceUrl, credential).getContainerClient(container).create();
    return azureBlock.parse({
      accountname: server.account,
      accountkey: server.key,
      serviceurl: server.serviceUrl,
      container,
      rootdirectory: 'some/where',
    });
  };

  testStorage({
    name: 'azure',
    open: async () => {
      const settings = await newContainer();
      const again = async () => openAzureStorage(settings, { pageKeys: 50 });
      return { storage: await again(), again };
    },
  });

  test('azure: signs addresses from which anybody can read, and nothing else', async () => {
    const storage = openAzureStorage(await newContainer());
    const bytes = randomBytes(1000);
    const session = await storage.create(randomUUID());
    await session.append(
      (async function* () {
        yield bytes;
      })(),
    );
    await session.commit(digestOf(bytes));
    const location = await storage.presign?.(digestOf(bytes), { method: 'GET', expiresIn: 60 });
    assert.ok(location);
    assert.ok(Buffer.from(await (await fetch(location)).arrayBuffer()).equals(bytes));
    assert.equal((await fetch(location, { method: 'HEAD' })).status, 200);
    assert.equal((await fetch(location, { method: 'DELETE' })).status, 403);
    const unsigned = new URL(location);
    unsigned.search = '';
    assert.equal((await fetch(unsigned)).ok, false);
  });

  const block = async (url: string) => ({
    azure: { ...(await newContainer()), serviceurl: `${url}/${server.account}` },
  });
  const url = (): string => new URL(server.serviceUrl).origin;
  testFaults({ name: 'azure', url, configure: block });
  testServed({ name: 'azure', configure: () => block(url()), redirects: true });
});
