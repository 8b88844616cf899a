import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bindInet } from './inet-sockets.ts';
import { Links } from './links.ts';
import {
  createNetworkNamespace,
  insideNetworkNamespace,
  isNamespaceFile,
  removeNetworkNamespace,
} from './network-namespace.ts';
import { findProgram, run } from './process.ts';

async function withNamespaces(work: (host: string, guest: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-links-'));
  const paths = [join(folder, 'host'), join(folder, 'guest')] as const;
  try {
    for (const path of paths) createNetworkNamespace(path);
    await work(...paths);
  } finally {
    for (const path of paths) removeNetworkNamespace(path);
    rmSync(folder, { recursive: true });
  }
}

test('makes namespaces and comes back to its own, also after a failure', async () => {
  const before = readlinkSync('/proc/self/ns/net');
  await withNamespaces(async (host) => {
    assert.ok(isNamespaceFile(host));
    const inside = insideNetworkNamespace(host, () => readlinkSync('/proc/thread-self/ns/net'));
    assert.notEqual(inside, before);
    assert.throws(() =>
      insideNetworkNamespace(host, () => {
        throw new Error('no');
      }),
    );
    assert.equal(readlinkSync('/proc/self/ns/net'), before);
    assert.throws(() => createNetworkNamespace(host), { kind: 'conflict' });
    assert.throws(() => insideNetworkNamespace('/etc/hostname', () => undefined), { code: 'EINVAL' });
  });
  assert.equal(readlinkSync('/proc/self/ns/net'), before);
});

test('joins a namespace to a bridge with an address and a default route', async () => {
  await withNamespaces(async (host, guest) => {
    using links = insideNetworkNamespace(host, () => new Links());
    await links.addBridge('vbr', { mac: '02:42:0a:00:00:01' });
    await assert.rejects(links.addBridge('vbr'), { kind: 'conflict' });
    const bridge = links.find('vbr');
    assert.ok(bridge);
    links.addAddress(bridge.index, '10.0.0.1', 24, '10.0.0.255');
    links.setUp(bridge.index);
    await links.addVeth({
      name: 'vvtest',
      master: bridge.index,
      peerName: 'eth0',
      peerNamespace: guest,
      peerMac: '02:42:0a:00:00:02',
    });
    const veth = links.find('vvtest');
    assert.equal(veth?.master, bridge.index);
    await links.setBridgePort(veth?.index ?? 0, { hairpin: true, isolated: true });
    using inner = insideNetworkNamespace(guest, () => new Links());
    const eth0 = inner.find('eth0')?.index ?? 0;
    inner.setUp(inner.find('lo')?.index ?? 0);
    inner.addAddress(eth0, '10.0.0.2', 24, '10.0.0.255');
    inner.setUp(eth0);
    inner.addDefaultRoute(eth0, '10.0.0.1');
    const shown = await run(findProgram('nsenter'), [`--net=${guest}`, findProgram('ip'), 'addr']);
    assert.match(
      shown.stdout.toString(),
      /link\/ether 02:42:0a:00:00:02[\s\S]*inet 10\.0\.0\.2\/24 brd 10\.0\.0\.255/,
    );
    const routes = await run(findProgram('nsenter'), [`--net=${guest}`, findProgram('ip'), 'route']);
    assert.match(routes.stdout.toString(), /default via 10\.0\.0\.1 dev eth0/);
    const port = await run(findProgram('nsenter'), [`--net=${host}`, findProgram('bridge'), '-d', 'link']);
    assert.match(port.stdout.toString(), /hairpin on[\s\S]*isolated on/);
    await links.delete('vvtest');
    await links.delete('vvtest');
    assert.equal(links.find('vvtest'), undefined);
  });
});

test('says why the kernel refused, with its own words', async () => {
  await withNamespaces(async (host) => {
    using links = insideNetworkNamespace(host, () => new Links());
    await assert.rejects(links.addBridge('a-name-longer-than-15-bytes'), /add bridge .*: ERANGE|EINVAL/);
    assert.throws(
      () => links.addDefaultRoute(1, '10.9.9.9'),
      /add default route via 10\.9\.9\.9: E[A-Z]+ \(.+\)/,
    );
  });
});

test('binds a socket inside a namespace that is heard only there', async () => {
  await withNamespaces(async (host) => {
    const { fd, port } = insideNetworkNamespace(host, () => {
      using links = new Links();
      links.setUp(1);
      return bindInet('tcp', '127.0.0.1', 0);
    });
    assert.ok(port > 0);
    const hex = port.toString(16).toUpperCase().padStart(4, '0');
    const inside = insideNetworkNamespace(host, () => readFileSync('/proc/thread-self/net/tcp', 'utf8'));
    assert.ok(inside.includes(`0100007F:${hex}`));
    closeSync(fd);
  });
});
