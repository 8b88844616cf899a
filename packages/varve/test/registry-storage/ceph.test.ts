import { after, before, describe } from 'node:test';
import { type CephServer, cephMissing, startCeph } from './judges/ceph.ts';
import { testS3 } from './s3-cases.ts';
import { testSwift } from './swift-cases.ts';

describe('Ceph', { skip: cephMissing }, () => {
  let server: CephServer;
  before(async () => {
    server = await startCeph();
  });
  after(() => server[Symbol.asyncDispose]());

  testS3('s3 on ceph', () => server);
  const swift = () => ({
    authUrl: `${server.url}/auth/v1.0`,
    user: server.swiftUser,
    password: server.swiftPassword,
  });
  // Ceph has no manifests of manifests.
  testSwift('swift on ceph', swift, 1000);
});
