import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNetwork } from '../config/index.ts';
import { TrustedProxies } from './client-address.ts';

test('believes X-Forwarded-For of trusted proxies alone, and of it the last stranger', () => {
  const proxies = new TrustedProxies(['10.0.0.0/8', 'fd00::/8', '127.0.0.1']);
  const cases: readonly (readonly [string, string | undefined, string])[] = [
    ['192.0.2.1', undefined, '192.0.2.1'],
    ['192.0.2.1', '198.51.100.7', '192.0.2.1'],
    ['10.1.2.3', '198.51.100.7', '198.51.100.7'],
    ['10.1.2.3', '203.0.113.9, 198.51.100.7', '198.51.100.7'],
    ['10.1.2.3', '203.0.113.9, 198.51.100.7, 10.9.9.9', '198.51.100.7'],
    ['::ffff:10.1.2.3', '2001:db8::1', '2001:db8::1'],
    ['fd00::1', '198.51.100.7', '198.51.100.7'],
    ['10.1.2.3', undefined, '10.1.2.3'],
    ['10.1.2.3', 'unknown', '10.1.2.3'],
    ['10.1.2.3', '198.51.100.7, junk', '10.1.2.3'],
    ['127.0.0.1', '10.0.0.1', '10.0.0.1'],
    ['127.0.0.2', '198.51.100.7', '127.0.0.2'],
  ];
  for (const [peer, header, client] of cases) {
    assert.equal(proxies.clientOf(peer, header), client, `${peer} ${header}`);
  }
  assert.equal(new TrustedProxies([]).clientOf('10.1.2.3', '198.51.100.7'), '10.1.2.3');
});

test('reads networks, and says of what is none that it is none', () => {
  assert.deepEqual(parseNetwork('10.0.0.0/8'), { address: '10.0.0.0', prefix: 8, family: 'ipv4' });
  assert.deepEqual(parseNetwork('::1'), { address: '::1', prefix: 128, family: 'ipv6' });
  for (const text of ['', 'host', '10.0.0.0/33', '10.0.0.0/8/8', '::/129', '10.0.0.0/x', '10.0.0']) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});
