import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../../src/oci/index.ts';
import type { RegistryConfigInput } from '../../src/registry/index.ts';
import { openStorage, type RegistryStorage } from '../../src/registry/storage/index.ts';
import { eventually } from '../../src/registry/testing/index.ts';
import { type Fate, startFaultProxy } from './fault-proxy.ts';
import { configSchema } from '../../src/registry/config/index.ts';

/** A backend whose server is reached through a proxy that does harm. */
export interface FaultyBackend {
  readonly name: string;
  /** Where the store is. */
  readonly url: () => string;
  /** Makes an empty place and returns the block `storage` that leads to it through `url`. */
  readonly configure: (url: string) => Promise<NonNullable<RegistryConfigInput['storage']>>;
  /** Requests of a commit that may succeed without it (2). */
  readonly beforeCommit?: number;
}

const megabyte = 1024 * 1024;

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let start = 0; start < bytes.length; start += 65_536) yield bytes.subarray(start, start + 65_536);
}

async function readAll(storage: RegistryStorage, digest: ReturnType<typeof digestOf>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await storage.read(digest)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What a backend has to bear, besides the suite. */
export function testFaults(backend: FaultyBackend): void {
  const { name } = backend;
  const open = async (url: string): Promise<RegistryStorage> => {
    const { storage } = configSchema.parse({ storage: await backend.configure(url) });
    return await openStorage(storage, '/nonexistent', {
      retry: { attempts: 7, firstPauseMs: 20, longestPauseMs: 500 },
    });
  };

  test(`${name}: gets through 503, 429, cut connections and lost answers, wherever they come`, async () => {
    await using proxy = await startFaultProxy(backend.url());
    const storage = await open(proxy.url);
    const bytes = randomBytes(20 * megabyte);
    const digest = digestOf(bytes);
    // Every third request fails, each kind in its turn; a repeated one gets through.
    const harms: readonly Fate[] = [503, 'cut', 429, 'lose-answer', 500];
    let count = 0;
    proxy.decide = () => (++count % 3 === 0 ? (harms[(count / 3) % harms.length] ?? 'pass') : 'pass');
    const id = randomUUID();
    const session = await storage.create(id, 'note');
    await session.append(pieces(bytes.subarray(0, 11 * megabyte)));
    await session.close();
    const resumed = await storage.resume(id);
    assert.equal(resumed?.offset, 11 * megabyte);
    await resumed?.append(pieces(bytes.subarray(11 * megabyte)));
    await resumed?.commit(digest);
    assert.equal((await storage.stat(digest))?.size, bytes.length);
    for await (const found of storage.list()) assert.equal(found.digest, digest);
    proxy.decide = () => 'pass';
    assert.ok((await readAll(storage, digest)).equals(bytes));
    const left: string[] = [];
    for await (const upload of storage.uploads()) left.push(upload.id);
    assert.deepEqual(left, []);
    await storage.close();
  });

  test(`${name}: keeps what is stored when the store stays away, and goes on when it is back`, async () => {
    await using proxy = await startFaultProxy(backend.url());
    const storage = await open(proxy.url);
    const bytes = randomBytes(9 * megabyte);
    const session = await storage.create(randomUUID(), 'note');
    await session.append(pieces(bytes.subarray(0, 100)));
    proxy.decide = () => 503;
    await assert.rejects(session.append(pieces(bytes.subarray(100, 200))), { kind: 'unavailable' });
    assert.equal(session.offset, 100);
    proxy.decide = () => 'pass';
    await session.append(pieces(bytes.subarray(100)));
    await session.commit(digestOf(bytes));
    assert.ok((await readAll(storage, digestOf(bytes))).equals(bytes));
    await storage.close();
  });

  test(`${name}: shows no blob, and leaves nothing, when the putting together fails`, async () => {
    await using proxy = await startFaultProxy(backend.url());
    const storage = await open(proxy.url);
    const bytes = randomBytes(17 * megabyte);
    const session = await storage.create(randomUUID(), 'note');
    await session.append(pieces(bytes));
    // No request of a commit but the first few gets through: it fails between the parts and the end.
    let passed = 0;
    proxy.decide = () => (++passed <= (backend.beforeCommit ?? 2) ? 'pass' : 400);
    await assert.rejects(session.commit(digestOf(bytes)));
    proxy.decide = () => 'pass';
    assert.equal(await storage.stat(digestOf(bytes)), undefined);
    await session.abort();
    await storage.dropUnfinished?.(Date.now() + 24 * 3600 * 1000);
    assert.equal(await storage.dropUnfinished?.(Date.now() + 24 * 3600 * 1000), 0);
    for await (const upload of storage.uploads()) assert.fail(`upload ${upload.id} is left`);
    await storage.close();
  });

  test(`${name}: lets go of the connection when a reader goes early`, async () => {
    await using proxy = await startFaultProxy(backend.url());
    const storage = await open(proxy.url);
    const bytes = randomBytes(24 * megabyte);
    const session = await storage.create(randomUUID());
    await session.append(pieces(bytes));
    await session.commit(digestOf(bytes));
    const before = proxy.answered;
    for (let round = 0; round < 5; round++) {
      const reader = await storage.read(digestOf(bytes), { start: round });
      for await (const chunk of reader) {
        assert.ok((chunk as Buffer).length > 0);
        break;
      }
    }
    // Those that are kept for the next request are few, and none still carries an answer.
    await eventually(() => proxy.active === 0, 'the answers that nobody reads end');
    assert.ok(proxy.answered - before < 5 * bytes.length, 'what nobody read was sent all the same');
    await storage.close();
  });

  test(`${name}: goes on in another process after a kill`, async () => {
    const storageBlock = await backend.configure(backend.url());
    const bytes = randomBytes(20 * megabyte);
    const id = randomUUID();
    // It writes what it is sent, and says how far it is; then it is killed in the middle of a chunk.
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'write-session.ts'), id, JSON.stringify(storageBlock)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.on('error', () => undefined);
    child.stdin.write(bytes.subarray(0, 13 * megabyte));
    const { storage: config } = configSchema.parse({ storage: storageBlock });
    const storage = await openStorage(config, '/nonexistent');
    await eventually(async () => {
      const seen = await storage.resume(id);
      return (seen?.offset ?? 0) >= 8 * megabyte;
    }, 'the first chunk is stored');
    child.kill('SIGKILL');
    await gone;
    const session = await storage.resume(id);
    assert.ok(session);
    assert.equal(session.note, 'note');
    assert.ok(session.offset >= 8 * megabyte && session.offset < 13 * megabyte, `${session.offset}`);
    await session.append(pieces(bytes.subarray(session.offset)));
    const stored: Buffer[] = [];
    for await (const chunk of session.read()) stored.push(Buffer.from(chunk));
    assert.ok(Buffer.concat(stored).equals(bytes));
    await session.commit(digestOf(bytes));
    assert.ok((await readAll(storage, digestOf(bytes))).equals(bytes));
    await storage.close();
  });
}
