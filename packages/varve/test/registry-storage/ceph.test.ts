import { after, before, describe } from 'node:test';
import { type CephServer, cephMissing, startCeph } from './judges/ceph.ts';
import { testServed } from './end-to-end.ts';
import { testFaults } from './fault-cases.ts';
import { newBucket, testS3 } from './s3-cases.ts';
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
  const block = async (url: string) => ({ s3: { ...(await newBucket(server)), regionendpoint: url } });
  testFaults({ name: 's3 on ceph', url: () => server.url, configure: block });
  testServed({ name: 's3 on ceph', configure: () => block(server.url), redirects: true });
});
