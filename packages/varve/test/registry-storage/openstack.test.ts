import { after, before, describe } from 'node:test';
import { type SwiftServer, startSwift, swiftMissing } from './judges/swift.ts';
import { testFaults } from './fault-cases.ts';
import { newBucket, testS3 } from './s3-cases.ts';
import { testSwift } from './swift-cases.ts';

describe('OpenStack Swift', { skip: swiftMissing }, () => {
  let server: SwiftServer;
  before(async () => {
    server = await startSwift();
  });
  after(() => server[Symbol.asyncDispose]());

  testS3('s3 on swift', () => ({ url: server.url, accessKey: server.user, secretKey: server.password }));
  testSwift('swift', () => ({
    authUrl: `${server.url}/auth/v1.0`,
    user: server.user,
    password: server.password,
  }));
  testFaults({
    name: 's3 on swift',
    url: () => server.url,
    configure: async (url) => {
      const access = { url: server.url, accessKey: server.user, secretKey: server.password };
      return { s3: { ...(await newBucket(access)), regionendpoint: url } };
    },
  });
});
