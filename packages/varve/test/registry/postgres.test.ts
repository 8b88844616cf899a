import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import { testMetadata } from '../../src/registry/metadata/testing/suite.ts';
import { PostgresMetadata } from '../../src/registry/metadata/postgres/postgres-metadata.ts';
import { eventually } from '../../src/registry/testing/index.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

describe('records in PostgreSQL', () => {
  let server: PostgresServer;
  let databases = 0;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server[Symbol.asyncDispose]());

  test('remembers for all nodes that a client was told of a blob, once in a while', async () => {
    const url = server.database('used');
    await using nodes = new AsyncDisposableStack();
    const [one, other] = [await PostgresMetadata.open(url), await PostgresMetadata.open(url)];
    nodes.defer(async () => void (await Promise.all([one.close(), other.close()])));
    const digest = digestOf('told');
    await one.addBlob('a', { digest, size: 4 });
    assert.equal(await one.useBlob('b', digest, Date.now()), undefined);
    const linkedAt = Date.now();
    const collect = async (): Promise<number> =>
      (await other.garbage.review('link', linkedAt + 1, 10, () => false)).found.length;
    await eventually(() => Date.now() > linkedAt + 1, 'the next millisecond');
    assert.deepEqual(await one.useBlob('a', digest, Date.now()), { digest, size: 4 });
    assert.equal(await collect(), 0, 'it was asked for since');
    await eventually(async () => {
      const found = await other.garbage.review('link', Date.now(), 10, () => false);
      return found.found.length === 1;
    }, 'it goes when nobody asks');
    assert.equal(await one.useBlob('a', digest, Date.now()), undefined);
  });

  testMetadata(() => PostgresMetadata.open(server.database(`suite${databases++}`)));
});
