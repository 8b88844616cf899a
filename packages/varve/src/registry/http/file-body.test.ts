import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Digest, digestOf } from '../../oci/index.ts';
import { eventually, startTestRegistry, type TestRegistry } from '../testing/index.ts';

const blob = randomBytes(3_000_000);

async function registryWithBlob(t: TestContext): Promise<{ registry: TestRegistry; path: string }> {
  const registry = await startTestRegistry(t);
  const { digest } = await registry.pushBlob('demo/app', blob);
  return { registry, path: `/v2/demo/app/blobs/${digest}` };
}

/** Blob files of a registry in this process that are open. */
function openBlobs({ root }: TestRegistry): number {
  const descriptors = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      return '';
    }
  });
  return descriptors.filter((target) => target.startsWith(`${root}/blobs/`) && /\/[0-9a-f]{64}$/.test(target))
    .length;
}

/** Asks for a blob and hangs up when something of it is there. */
function hangUp({ url }: TestRegistry, path: string): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () =>
      socket.write(`GET ${path} HTTP/1.1\r\nHost: registry\r\n\r\n`),
    );
    socket.once('data', () => socket.destroy());
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

test('sends many clients each their own bytes while others hang up, and leaves no file open', async (t) => {
  const { registry, path } = await registryWithBlob(t);
  const other = randomBytes(2_000_000);
  const { digest } = await registry.pushBlob('demo/app', other);
  for (let round = 0; round < 4; round++) {
    const answers = await Promise.all([
      registry.call('GET', path),
      hangUp(registry, path),
      registry.call('GET', `/v2/demo/app/blobs/${digest}`),
      hangUp(registry, `/v2/demo/app/blobs/${digest}`),
      registry.call('GET', path, { headers: { Range: 'bytes=100000-2999998' } }),
    ]);
    const digests = answers.flatMap((answer): Digest[] => (answer ? [digestOf(answer.body)] : []));
    assert.deepEqual(digests, [digestOf(blob), digest, digestOf(blob.subarray(100_000, 2_999_999))]);
  }
  await eventually(() => openBlobs(registry) === 0, 'every blob file is closed');
});

test('sends the answers to requests that came together one after the other', async (t) => {
  const { registry, path } = await registryWithBlob(t);
  const { hostname, port } = new URL(registry.url);
  const received = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => {
      const get = `GET ${path} HTTP/1.1\r\nHost: registry\r\n`;
      socket.write(`${get}\r\n${get}\r\n${get}Connection: close\r\n\r\n`);
    });
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks)));
  });
  let rest = received;
  for (let answer = 0; answer < 3; answer++) {
    const body = rest.subarray(rest.indexOf('\r\n\r\n') + 4);
    assert.ok(body.subarray(0, blob.length).equals(blob), `answer ${answer}`);
    rest = body.subarray(blob.length);
  }
  assert.equal(rest.length, 0);
});
