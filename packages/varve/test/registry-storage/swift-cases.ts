import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import { swiftBlock } from '../../src/registry/config/storage-backends-block.ts';
import { openSwiftStorage } from '../../src/registry/storage/swift/index.ts';
import { testStorage } from '../../src/registry/storage/testing/suite.ts';
import type { SwiftSettings } from '../../src/registry/config/index.ts';

/** Where a server's Swift API is. */
export interface SwiftAccess {
  readonly authUrl: string;
  readonly user: string;
  readonly password: string;
}

const temporaryUrlKey = 'tempkey';

/** Makes a container and returns the settings that lead to it. */
export async function newContainer({ authUrl, user, password }: SwiftAccess): Promise<SwiftSettings> {
  const login = await fetch(authUrl, { headers: { 'X-Auth-User': user, 'X-Auth-Key': password } });
  assert.ok(login.ok, `${login.status}`);
  const storageUrl = login.headers.get('x-storage-url') ?? '';
  const token = login.headers.get('x-auth-token') ?? '';
  const container = `container-${randomUUID()}`;
  const headers = { 'X-Auth-Token': token };
  assert.ok((await fetch(`${storageUrl}/${container}`, { method: 'PUT', headers })).ok);
  const key = { 'X-Account-Meta-Temp-URL-Key': temporaryUrlKey };
  assert.ok((await fetch(storageUrl, { method: 'POST', headers: { ...headers, ...key } })).ok);
  return swiftBlock.parse({
    authurl: authUrl,
    username: user,
    password,
    container,
    secretkey: temporaryUrlKey,
    rootdirectory: 'some/where',
  });
}

/** The suite over a server's Swift API, and what only Swift has. */
export function testSwift(name: string, access: () => SwiftAccess, maxSegments = 4): void {
  testStorage({
    name,
    open: async () => {
      const settings = await newContainer(access());
      const again = async () => openSwiftStorage(settings, { pageKeys: 50 });
      return { storage: await again(), again };
    },
  });

  test(`${name}: takes a blob's segments with it, and those of an attempt that failed`, async () => {
    const settings = await newContainer(access());
    const chunks = { largestBytes: 512 * 1024 };
    const storage = openSwiftStorage(settings, { chunks, maxSegments });
    const bytes = randomBytes(5_000_000);
    const session = await storage.create(randomUUID(), 'note');
    await session.append(
      (async function* () {
        for (let start = 0; start < bytes.length; start += 65_536)
          yield bytes.subarray(start, start + 65_536);
      })(),
    );
    const digest = digestOf(bytes);
    await session.commit(digest);
    assert.equal((await storage.stat(digest))?.size, bytes.length);
    const parts: Buffer[] = [];
    for await (const part of await storage.read(digest, { start: 1_000_000, end: 4_000_000 }))
      parts.push(part as Buffer);
    assert.ok(Buffer.concat(parts).equals(bytes.subarray(1_000_000, 4_000_000)));
    const location = await storage.presign?.(digest, { method: 'GET', expiresIn: 60 });
    assert.ok(location);
    assert.ok(Buffer.from(await (await fetch(location)).arrayBuffer()).equals(bytes));
    const unsigned = new URL(location);
    unsigned.search = '';
    assert.equal((await fetch(unsigned)).ok, false);
    assert.equal(await storage.dropUnfinished(Date.now() + 60_000), 0);
    assert.equal(await storage.delete(digest), true);
    assert.equal(await storage.stat(digest), undefined);
    assert.equal(await storage.dropUnfinished(Date.now() + 60_000), 0, 'segments are left');
  });
}
