import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  broadcastOf,
  contains,
  formatAddress,
  formatSubnet,
  macOf,
  overlap,
  parseAddress,
  parseSubnet,
} from './addresses.ts';

test('reads and writes addresses, and refuses what is not one', () => {
  for (const text of ['0.0.0.0', '10.1.2.3', '255.255.255.255']) {
    assert.equal(formatAddress(parseAddress(text) ?? -1), text);
  }
  for (const text of ['', '1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4.5', '1.2.3.4 ', '::1']) {
    assert.equal(parseAddress(text), undefined, text);
  }
});

test('reads subnets, cutting off what is behind the prefix', () => {
  assert.equal(formatSubnet(parseSubnet('10.1.2.3/16')), '10.1.0.0/16');
  assert.equal(broadcastOf(parseSubnet('10.1.2.128/25')), '10.1.2.255');
  for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/', 'x/8', 'fd00::/64']) {
    assert.throws(() => parseSubnet(text), { kind: 'invalid' }, text);
  }
});

test('knows what a subnet holds and what overlaps it', () => {
  const subnet = parseSubnet('172.17.0.0/16');
  assert.ok(contains(subnet, parseAddress('172.17.255.255') ?? 0));
  assert.ok(!contains(subnet, parseAddress('172.18.0.0') ?? 0));
  assert.ok(overlap(subnet, parseSubnet('172.16.0.0/12')));
  assert.ok(overlap(parseSubnet('172.17.3.0/24'), subnet));
  assert.ok(!overlap(subnet, parseSubnet('172.18.0.0/16')));
});

test('gives an address always the same MAC', () => {
  assert.equal(macOf('172.17.0.2'), '02:42:ac:11:00:02');
});
