import { after, before, describe } from 'node:test';
import { type SwiftServer, startSwift, swiftMissing } from './judges/swift.ts';
import { testServed } from './end-to-end.ts';
import { testFaults } from './fault-cases.ts';
import { testS3 } from './s3-cases.ts';
import { newContainer, testSwift } from './swift-cases.ts';

describe('OpenStack Swift', { skip: swiftMissing }, () => {
  let server: SwiftServer;
  before(async () => {
    server = await startSwift();
  });
  after(() => server[Symbol.asyncDispose]());

  testS3('s3 on swift', () => ({ url: server.url, accessKey: server.user, secretKey: server.password }));
  const access = () => ({
    authUrl: `${server.url}/auth/v1.0`,
    user: server.user,
    password: server.password,
  });
  testSwift('swift', access);
  const block = async (url: string) => ({
    swift: { ...(await newContainer(access())), authurl: `${url}/auth/v1.0` },
  });
  testFaults({ name: 'swift', url: () => server.url, configure: block });
  testServed({ name: 'swift', configure: () => block(server.url), redirects: true });
});
