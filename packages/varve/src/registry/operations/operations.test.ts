import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { atEnd, eventually, startTestRegistry } from '../testing/index.ts';

test('metrics, health and readiness have an address of their own', async (t) => {
  const client = await startTestRegistry(t, {
    http: { debug: { addr: '127.0.0.1:0', prometheus: { enabled: true } } },
  });
  await client.pushImage('app', 'v1', 'content');
  await client.call('GET', '/v2/app/manifests/v1');
  await client.call('GET', '/v2/app/manifests/none');
  const debug = `http://127.0.0.1:${client.registry.debugPort}`;
  const text = await (await fetch(`${debug}/metrics`)).text();
  assert.match(text, /^registry_http_requests_total\{method="GET",route="manifest",code="200"\} 1$/m);
  assert.match(text, /^registry_http_requests_total\{method="GET",route="manifest",code="404"\} 1$/m);
  assert.match(text, /^registry_http_request_duration_seconds_count\{method="PUT",route="manifest"\} 1$/m);
  assert.match(text, /^registry_http_requests_in_flight 0$/m);
  assert.match(text, /^registry_billed_bytes [1-9]\d+$/m);
  assert.match(text, /^process_resident_memory_bytes \d+/m);
  for (const path of ['/healthz', '/readyz', '/debug/health']) {
    assert.equal((await fetch(debug + path)).status, 200, path);
  }
  assert.equal((await fetch(`${debug}/v2/`)).status, 404);
  assert.equal((await client.call('GET', '/metrics')).status, 404);
});

interface Received {
  readonly type: string | undefined;
  readonly authorization: string | undefined;
  readonly event: {
    readonly id: string;
    readonly type: string;
    readonly subject: string;
    readonly data: { readonly tags: readonly string[]; readonly digest?: string };
  };
}

test('changes are told as CloudEvents, again until they arrive, over a restart', async (t) => {
  const received: Received[] = [];
  let failing = true;
  const hook = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({
        type: request.headers['content-type'],
        authorization: request.headers.authorization,
        event: JSON.parse(Buffer.concat(chunks).toString()) as Received['event'],
      });
      response.writeHead(failing ? 503 : 204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(hook, 'listening');
  atEnd(t, () => void hook.close());
  const notifications = {
    endpoints: [
      {
        name: 'ci',
        url: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`,
        headers: { Authorization: ['Bearer x'] },
        backoff: '10ms',
        repositories: 'team/**',
      },
    ],
  };
  const first = await startTestRegistry(t, { notifications });
  const image = await first.pushImage('team/app', 'v1', 'content');
  await first.pushImage('other', 'v1', 'content');
  await eventually(() => received.length > 0, 'a first attempt');
  await first.registry.close();
  const attempts = received.length;
  failing = false;
  const second = await startTestRegistry(t, { notifications }, { root: first.root });
  await second.call('DELETE', '/v2/team/app/manifests/v1');
  await eventually(
    () => received.some(({ event }) => event.type.endsWith('deleted')) && received.length >= attempts + 2,
    'both delivered',
  );
  const pushes = received.filter(({ event }) => event.type === 'io.varve.registry.manifest.pushed');
  assert.equal(new Set(pushes.map(({ event }) => event.id)).size, 1);
  assert.deepEqual(pushes[0]?.event.data.tags, ['v1']);
  assert.equal(pushes[0]?.event.data.digest, image.digest);
  assert.equal(pushes[0]?.event.subject, 'team/app:v1');
  assert.equal(pushes[0]?.authorization, 'Bearer x');
  assert.match(pushes[0]?.type ?? '', /^application\/cloudevents\+json/);
});
