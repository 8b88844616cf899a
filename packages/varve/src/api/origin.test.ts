import assert from 'node:assert/strict';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { originAllowed } from './origin.ts';

async function verdict(headers: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => response.end(String(originAllowed(request))));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    return await new Promise((resolve, reject) => {
      const resolved = Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [name, value.replace('PORT', String(port))]),
      );
      get({ port, host: '127.0.0.1', headers: resolved }, (response) => {
        response.setEncoding('utf8').on('data', resolve);
      }).on('error', reject);
    });
  } finally {
    server.close();
  }
}

test('programs come without an origin and may', async () => {
  assert.equal(await verdict({}), 'true');
  assert.equal(await verdict({ host: 'docker' }), 'true');
});

test('a page of this very server may, a page of another host may not', async () => {
  assert.equal(await verdict({ host: '127.0.0.1:PORT', origin: 'http://127.0.0.1:PORT' }), 'true');
  assert.equal(await verdict({ host: '127.0.0.1:PORT', origin: 'http://evil.test' }), 'false');
  assert.equal(await verdict({ host: '127.0.0.1:PORT', origin: 'null' }), 'false');
});

test('a name that resolves to this machine is no way in', async () => {
  assert.equal(await verdict({ host: 'evil.test:PORT', origin: 'http://evil.test:PORT' }), 'false');
  // A script's GET of its own host carries no Origin.
  assert.equal(await verdict({ host: 'evil.test:PORT', 'accept-language': 'en' }), 'false');
  assert.equal(await verdict({ host: 'evil.test:PORT', 'user-agent': 'Mozilla/5.0' }), 'false');
  assert.equal(await verdict({ host: 'localhost:PORT', 'accept-language': 'en' }), 'true');
});
