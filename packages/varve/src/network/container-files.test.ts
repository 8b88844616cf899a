import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containerFiles } from './container-files.ts';

const request = {
  hostname: 'c1',
  addresses: ['172.17.0.2'],
  extraHosts: ['db:10.0.0.9', 'six:fd00::9'],
  resolver: 'host',
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  hostResolvConf: 'search example.test\nnameserver 127.0.0.53 # stub\nnameserver 192.0.2.1\noptions edns0\n',
} as const;

test('lists loopback, extra hosts and the container itself in hosts', () => {
  const { hosts, hostname } = containerFiles({ ...request, domainname: 'example.test' });
  assert.equal(hostname, 'c1\n');
  assert.match(hosts, /^127\.0\.0\.1\tlocalhost\n/);
  assert.match(hosts, /\n10\.0\.0\.9\tdb\nfd00::9\tsix\n172\.17\.0\.2\tc1\.example\.test c1\n$/);
});

test('names the embedded resolver, or the servers of the host that a container can reach', () => {
  assert.equal(
    containerFiles({ ...request, resolver: 'embedded' }).resolvConf,
    'nameserver 127.0.0.11\nsearch example.test\noptions edns0 ndots:0\n',
  );
  assert.equal(
    containerFiles(request).resolvConf,
    'nameserver 192.0.2.1\nsearch example.test\noptions edns0\n',
  );
  assert.match(containerFiles({ ...request, hostResolvConf: 'nameserver ::1\n' }).resolvConf, /8\.8\.8\.8/);
});

test('follows --dns, --dns-search and --dns-option', () => {
  assert.equal(
    containerFiles({ ...request, dns: ['1.1.1.1'], dnsSearch: ['.'], dnsOptions: ['ndots:2'] }).resolvConf,
    'nameserver 1.1.1.1\noptions ndots:2\n',
  );
});
