import { after, before, describe } from 'node:test';
import { testMetadata } from '../../src/registry/metadata/testing/suite.ts';
import { PostgresMetadata } from '../../src/registry/metadata/postgres/postgres-metadata.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

describe('records in PostgreSQL', () => {
  let server: PostgresServer;
  let databases = 0;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server[Symbol.asyncDispose]());

  testMetadata(() => PostgresMetadata.open(server.database(`suite${databases++}`)));
});
