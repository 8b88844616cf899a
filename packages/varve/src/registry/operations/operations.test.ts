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

test('requests are traced by OTLP, as parts of the caller’s traces', async (t) => {
  interface Spans {
    readonly resourceSpans: readonly {
      readonly scopeSpans: readonly {
        readonly spans: readonly {
          readonly traceId: string;
          readonly spanId: string;
          readonly parentSpanId?: string;
          readonly name: string;
          readonly attributes: readonly {
            readonly key: string;
            readonly value: { readonly stringValue?: string; readonly intValue?: number };
          }[];
        }[];
      }[];
    }[];
  }
  const bodies: Spans[] = [];
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      bodies.push(JSON.parse(Buffer.concat(chunks).toString()) as Spans);
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(collector, 'listening');
  atEnd(t, () => void collector.close());
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`;
  const client = await startTestRegistry(t, { tracing: { otlp: { endpoint } } });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const parent = 'b7ad6b7169203331';
  await client.call('GET', '/v2/team/app/manifests/v1', {
    headers: { traceparent: `00-${trace}-${parent}-01` },
  });
  await client.pushBlob('team/app', Buffer.from('content'));
  // What waits is sent when the server stops.
  await client.registry.close();
  const spans = bodies.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
  );
  const [span] = spans.filter(({ name }) => name === 'GET manifest');
  assert.deepEqual([span?.traceId, span?.parentSpanId], [trace, parent]);
  const partsOf = (request: string): string[] => {
    const whole = spans.find(({ name }) => name === request);
    const parts = spans.filter(({ parentSpanId }) => parentSpanId === whole?.spanId);
    assert.ok(parts.every(({ traceId }) => traceId === whole?.traceId));
    return parts.map(({ name }) => name);
  };
  assert.deepEqual(partsOf('GET manifest'), ['db manifestByTag']);
  const stored = ['storage create', 'storage session append', 'storage session commit', 'db addBlob'];
  const parts = partsOf('POST uploads');
  assert.deepEqual(
    parts.filter((name) => stored.includes(name)),
    stored,
    parts.join(),
  );
  const attributes = new Map(
    span?.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]),
  );
  assert.equal(attributes.get('http.response.status_code'), 404);
  assert.equal(attributes.get('registry.repository'), 'team/app');
  assert.equal(attributes.get('error.type'), 'MANIFEST_UNKNOWN');
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

test('a change names the client that a trusted proxy speaks for', async (t) => {
  const remotes: (string | undefined)[] = [];
  const hook = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { data } = JSON.parse(Buffer.concat(chunks).toString()) as { data: { remote?: string } };
      remotes.push(data.remote);
      response.writeHead(204).end();
    });
  }).listen(0, '127.0.0.1');
  await once(hook, 'listening');
  atEnd(t, () => void hook.close());
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`;
  const client = await startTestRegistry(t, {
    http: { trustedproxies: ['127.0.0.1'] },
    notifications: { endpoints: [{ name: 'ci', url }] },
  });
  await client.pushImage('app', 'v1', 'content');
  await eventually(() => remotes.length === 1, 'the push');
  await client.call('DELETE', '/v2/app/manifests/v1', { headers: { 'X-Forwarded-For': '192.0.2.7' } });
  await eventually(() => remotes.length === 2, 'the deletion');
  assert.deepEqual(remotes, ['127.0.0.1', '192.0.2.7']);
});
