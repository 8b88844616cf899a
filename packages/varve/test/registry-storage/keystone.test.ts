import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import type { SwiftSettings } from '../../src/registry/config/index.ts';
import { swiftBlock } from '../../src/registry/config/storage-backends-block.ts';
import { openSwiftStorage } from '../../src/registry/storage/swift/index.ts';
import { type KeystoneServer, keystoneMissing, startKeystone } from './judges/keystone.ts';
import { type SwiftServer, startSwift, swiftMissing } from './judges/swift.ts';

const tokenSeconds = 8;

describe('OpenStack Swift with Keystone', { skip: keystoneMissing || swiftMissing }, () => {
  let keystone: KeystoneServer;
  let swift: SwiftServer;
  let container: string;
  before(async () => {
    keystone = await startKeystone(tokenSeconds);
    swift = await startSwift(keystone);
    container = `container-${randomUUID()}`;
    const { token, storageUrl } = await login();
    const headers = { 'X-Auth-Token': token };
    const made = await fetch(`${storageUrl}/${container}`, { method: 'PUT', headers });
    assert.equal(made.status, 201, await made.text());
  });
  after(async () => {
    await swift?.[Symbol.asyncDispose]();
    await keystone?.[Symbol.asyncDispose]();
  });

  /** A token of the administrator, and where its project's objects are. */
  async function login(): Promise<{ readonly token: string; readonly storageUrl: string }> {
    const domain = { id: 'default' };
    const user = { name: keystone.user, domain, password: keystone.password };
    const answer = await fetch(`${keystone.url}/auth/tokens`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({
        auth: {
          identity: { methods: ['password'], password: { user } },
          scope: { project: { name: 'admin', domain } },
        },
      }),
    });
    const { token } = (await answer.json()) as { token: { project: { id: string } } };
    return {
      token: answer.headers.get('x-subject-token') ?? '',
      storageUrl: `${swift.url}/v1/AUTH_${token.project.id}`,
    };
  }

  const settings = (more: object): SwiftSettings =>
    swiftBlock.parse({ authurl: keystone.url, container, rootdirectory: 'some/where', ...more });
  const byPassword = (more: object = {}): SwiftSettings =>
    settings({ username: keystone.user, password: keystone.password, tenant: 'admin', ...more });

  async function roundTrip(from: SwiftSettings): Promise<void> {
    const storage = openSwiftStorage(from);
    try {
      const bytes = randomBytes(3_000_000);
      const digest = digestOf(bytes);
      const session = await storage.create(randomUUID(), 'note');
      await session.append(
        (async function* () {
          yield bytes;
        })(),
      );
      await session.commit(digest);
      const read: Buffer[] = [];
      for await (const chunk of await storage.read(digest)) read.push(chunk as Buffer);
      assert.ok(bytes.equals(Buffer.concat(read)));
      assert.equal(await storage.delete(digest), true);
    } finally {
      await storage.close();
    }
  }

  test('keeps a blob for who has a user’s password', () =>
    roundTrip(byPassword({ region: keystone.region, domain: 'Default' })));

  test('keeps a blob for who has an application credential', async () => {
    const { id, secret } = await keystone.newApplicationCredential('registry');
    await roundTrip(settings({ applicationcredentialid: id, applicationcredentialsecret: secret }));
  });

  test('goes on with a new token when the old one has expired', async () => {
    const storage = openSwiftStorage(byPassword());
    try {
      assert.equal(await storage.stat(digestOf('absent')), undefined);
      // Younger than the storage's: when this one is refused, so is that.
      const { token, storageUrl } = await login();
      const status = async (): Promise<number> =>
        (await fetch(`${storageUrl}/${container}`, { method: 'HEAD', headers: { 'X-Auth-Token': token } }))
          .status;
      assert.equal(await status(), 204);
      for (const deadline = Date.now() + 60_000; (await status()) !== 401; ) {
        assert.ok(Date.now() < deadline, 'the token does not expire');
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      assert.equal(await storage.stat(digestOf('absent')), undefined);
    } finally {
      await storage.close();
    }
  });

  for (const [what, more, expected] of [
    ['a wrong password', { password: 'wrong' }, { code: 'STORE_DENIED' }],
    ['a project that is none of the user’s', { tenant: 'other' }, { code: 'STORE_DENIED' }],
    ['a region that the catalogue lacks', { region: 'elsewhere' }, { code: 'STORE_MISCONFIGURED' }],
    ['an interface that the catalogue lacks', { endpointtype: 'admin' }, { code: 'STORE_MISCONFIGURED' }],
  ] as const) {
    test(`is told at once of ${what}`, async () => {
      const storage = openSwiftStorage(byPassword(more));
      try {
        await assert.rejects(storage.stat(digestOf('absent')), expected);
      } finally {
        await storage.close();
      }
    });
  }
});
