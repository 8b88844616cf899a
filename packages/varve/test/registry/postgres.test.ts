import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { digestOf } from '../../src/oci/index.ts';
import { Database } from '../../src/registry/metadata/postgres/database.ts';
import type { Statement } from '../../src/registry/metadata/steps.ts';
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

  test('makes a write that others always come before', async () => {
    const database = new Database(server.database('starved'));
    await database.migrate();
    await using _open = { [Symbol.asyncDispose]: () => database.close() };
    const change = (text: string): Statement => ({ text, values: [], wants: 'changes' });
    await database.answer(
      change("INSERT INTO registry_repositories (name, created_at, used_bytes) VALUES ('a', 0, 0)"),
    );
    const more = change('UPDATE registry_repositories SET used_bytes = used_bytes + 1');
    const others: Promise<unknown>[] = [];
    await database.write(async (transaction) => {
      await transaction.answer({ text: 'SELECT * FROM registry_repositories', values: [], wants: 'rows' });
      // Another comes between reading and writing, unless it has to wait.
      const other = database.write((between) => between.answer(more));
      others.push(other);
      await Promise.race([other, setTimeout(500)]);
      await transaction.answer(more);
    });
    await Promise.all(others);
    const { rows } = await database.answer({
      text: 'SELECT used_bytes FROM registry_repositories',
      values: [],
      wants: 'rows',
    });
    assert.equal(rows[0]?.['used_bytes'], others.length + 1);
  });

  testMetadata(() => PostgresMetadata.open(server.database(`suite${databases++}`)));
});
