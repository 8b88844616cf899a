import assert from 'node:assert/strict';
import { test } from 'node:test';
import { insecureHosts, isLoopback } from './insecure.ts';

test('knows loopback hosts', () => {
  for (const host of ['localhost', 'localhost:5000', '127.0.0.1', '127.8.9.1:80', '[::1]:5000'])
    assert.ok(isLoopback(host), host);
  for (const host of ['127.0.0.1.example', 'localhost.example:1', '128.0.0.1', '[::2]', 'docker.io'])
    assert.ok(!isLoopback(host), host);
});

test('finds hosts in lists of names and networks', () => {
  const insecure = insecureHosts(['registry:5000', '10.1.0.0/16', 'fd00::/8']);
  for (const host of ['registry:5000', '10.1.2.3:5000', '10.1.2.3', '[fd12::1]:443'])
    assert.ok(insecure(host), host);
  for (const host of ['registry', 'registry:5001', '10.2.0.1', '10.1.2.3.example', '[fe80::1]'])
    assert.ok(!insecure(host), host);
  assert.throws(() => insecureHosts(['10.0.0.0/33']), { code: 'INSECURE_REGISTRY_INVALID' });
});
