import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { type Descriptor, digestOf, type Manifest } from '../../src/oci/index.ts';
import { type Answer, eventually, httpCall, TestClient } from '../../src/registry/testing/index.ts';
import { type ClusterNode, type SharedParts, startSharedParts } from './cluster/cluster.ts';
import { SoakClient, SoakCollector, soakCounts } from './cluster/soak.ts';
import { temporaryFolder } from './programs.ts';
import { swiftMissing } from '../registry-storage/judges/swift.ts';

// Raised where there is time: the collector and the clients meet more often.
const soakSeconds = Number(process.env['VARVE_TEST_SECONDS'] ?? 5);

describe('two nodes on one object store and one PostgreSQL', { skip: swiftMissing }, () => {
  let parts: SharedParts;
  before(async () => {
    parts = await startSharedParts();
  });
  after(() => parts[Symbol.asyncDispose]());

  test('what one took, the other has at once; an upload begun at one goes on at the other', async (t) => {
    const nodes = await Promise.all([parts.node(t, 'both'), parts.node(t, 'both')]);
    const [one, other] = nodes.map(({ url }) => new TestClient(url)) as [TestClient, TestClient];
    const { digest, bytes, layer } = await one.pushImage('demo/app', 'v1', 'pushed to one');
    const manifest = await other.call('GET', '/v2/demo/app/manifests/v1');
    assert.deepEqual([manifest.headers['docker-content-digest'], manifest.body], [digest, bytes]);
    const blob = await other.call('GET', `/v2/demo/app/blobs/${layer.digest}`);
    assert.equal(blob.body.toString(), 'pushed to one');

    const content = randomBytes(3_000_000);
    const path = await one.startUpload('demo/app');
    for (const [place, node] of [other, one, other].entries()) {
      const start = place * 1_000_000;
      const chunk = await node.call('PATCH', path, {
        body: content.subarray(start, start + 1_000_000),
        headers: { 'Content-Range': `${start}-${start + 999_999}` },
      });
      assert.equal(chunk.status, 202, chunk.body.toString());
      for (const { url } of nodes) {
        const status = await httpCall(url, 'GET', path);
        assert.deepEqual([status.status, status.headers.range], [204, `0-${start + 999_999}`]);
      }
    }
    const done = await one.call('PUT', `${path}?digest=${digestOf(content)}`);
    assert.equal(done.status, 201, done.body.toString());
    assert.equal((await other.call('GET', path)).status, 404);
    const whole = await other.call('GET', `/v2/demo/app/blobs/${digestOf(content)}`);
    assert.equal(whole.body.equals(content), true);
  });

  test('a logout at one node ends the session at the other', async (t) => {
    const htpasswd = join(temporaryFolder(t), 'htpasswd');
    writeFileSync(htpasswd, `alice:${bcrypt.hashSync('wonderland', 4)}\n`);
    const more = { auth: { htpasswd: { path: htpasswd } }, ui: { secret: randomBytes(32).toString('hex') } };
    const start = (): Promise<ClusterNode> => parts.node(t, 'logout', undefined, more);
    const [one, other] = await Promise.all([start(), start()]);
    const post = (url: string, path: string, body: string, cookie = ''): Promise<Answer> =>
      httpCall(url, 'POST', path, {
        body,
        headers: {
          Origin: url,
          'Sec-Fetch-Site': 'same-origin',
          'Content-Type': 'application/x-www-form-urlencoded',
          cookie,
        },
      });
    const login = await post(one.url, '/ui/login', 'user=alice&password=wonderland');
    const cookie = String(login.headers['set-cookie']?.[0]).split(';', 1)[0] ?? '';
    const page = (url: string): Promise<Answer> =>
      httpCall(url, 'GET', '/ui/', { headers: { accept: 'text/html', cookie } });
    assert.equal((await page(other.url)).status, 200);
    const token = / name="token" value="([^"]*)"/.exec((await page(one.url)).body.toString())?.[1] ?? '';
    assert.equal((await post(one.url, '/ui/logout', `token=${token}`, cookie)).status, 303);
    for (const { url } of [one, other]) {
      const { status, headers } = await page(url);
      assert.deepEqual([status, headers.location], [303, '/ui/login?next=%2Fui%2F']);
    }
  });

  test('what one node writes in the place of what another hashed does not pass for it', async (t) => {
    const nodes = await Promise.all([parts.node(t, 'forged'), parts.node(t, 'forged')]);
    const [one, other] = nodes.map(({ url }) => new TestClient(url)) as [TestClient, TestClient];
    const [good, bad] = [randomBytes(100_000), randomBytes(100_000)];
    const path = await one.startUpload('demo/app');
    const hashed = Promise.withResolvers<void>();
    const slow = one.call('PATCH', path, {
      body: (async function* () {
        yield bad.subarray(0, 1000);
        await hashed.promise;
        yield bad.subarray(1000);
      })(),
    });
    assert.equal((await other.call('PATCH', path, { body: good })).status, 202);
    hashed.resolve();
    await slow;
    const done = await other.call('PUT', `${path}?digest=${digestOf(good)}`);
    const found = await other.call('GET', `/v2/demo/app/blobs/${digestOf(good)}`);
    assert.deepEqual([done.status, found.status], [400, 404], 'the store has other bytes than were hashed');
  });

  test('a tag that both push and delete never leads to something that is not whole', async (t) => {
    const nodes = await Promise.all([parts.node(t, 'tag'), parts.node(t, 'tag')]);
    const clients = nodes.map(({ url }) => new TestClient(url));
    const deadline = Date.now() + soakSeconds * 400;
    const race = async (client: TestClient, name: string): Promise<number> => {
      let rounds = 0;
      for (; Date.now() < deadline; rounds++) {
        const { digest } = await client.pushImage('race/app', 'latest', `${name} ${rounds}`);
        if (rounds % 3 === 0) {
          const { status } = await client.call('DELETE', `/v2/race/app/manifests/${digest}`);
          assert.equal(status, 202);
        }
      }
      return rounds;
    };
    const look = async (client: TestClient): Promise<number> => {
      let found = 0;
      while (Date.now() < deadline) {
        const answer = await client.call('GET', '/v2/race/app/manifests/latest');
        if (answer.status === 404) continue;
        assert.equal(answer.status, 200, answer.body.toString());
        const { config, layers } = answer.json() as Manifest;
        for (const { digest } of [config, ...layers] as Descriptor[]) {
          const blob = await client.call('GET', `/v2/race/app/blobs/${digest}`);
          assert.equal(blob.status, 200, digest);
        }
        found++;
      }
      return found;
    };
    const counts = await Promise.all(
      clients.flatMap((client, place) => [race(client, `node ${place}`), look(client)]),
    );
    assert.ok(
      counts.every((count) => count > 0),
      counts.join(', '),
    );
  });

  test('nothing confirmed is unknown or lost while both collect, nor when one is killed', async (t) => {
    const graceMs = 4000;
    const first = await parts.node(t, 'soak');
    const second = await parts.node(t, 'soak');
    const collectors = [first, second].map(({ root }) => new SoakCollector(root, graceMs));
    const alive = [first.url, second.url];
    const clients = Array.from(
      { length: 8 },
      (_, number) => new SoakClient(() => alive, ['soak/shared', `soak/own-${number}`], graceMs),
    );
    const deadline = Date.now() + soakSeconds * 1000;
    const killed = new Promise<void>((resolve) => {
      setTimeout(() => {
        alive.shift();
        resolve(first.stop('SIGKILL'));
      }, soakSeconds * 600);
    });
    const collecting = collectors.map((collector, place) =>
      collector
        .run(() => Date.now() > deadline)
        .catch((error: unknown) => {
          if (place > 0 || alive.length > 1) throw error;
        }),
    );
    await Promise.all([...clients.map((client) => client.run(deadline)), killed, ...collecting]);
    for (const client of clients) await client.pullKept();
    const needed = new Set(clients.flatMap(({ kept }) => [...kept.values()].flatMap(({ blobs }) => blobs)));
    // The node that is left gives back the bytes of the rest.
    await eventually(async () => {
      await collectors[1]?.collect(true);
      const stored = await parts.stored('soak');
      for (const digest of needed) assert.ok(stored.has(digest), `${digest} is lost`);
      return stored.size === needed.size;
    }, 'only what is needed is stored');
    for (const client of clients) await client.pullKept();
    t.diagnostic(soakCounts(clients, collectors));
    assert.ok(collectors.some(({ removed }) => removed > 0));
  });
});
