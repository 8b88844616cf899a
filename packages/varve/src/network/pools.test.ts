import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatSubnet, parseSubnet } from './addresses.ts';
import { allocateAddress } from './allocate.ts';
import { chooseSubnet, defaultPools, parseRoutes } from './pools.ts';
import type { Network } from './types.ts';

test('reads the routes of the host, the default one left out', () => {
  const text = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	000011AC	00000000	0001	0	0	0	0000FFFF	0	0	0
`;
  assert.deepEqual(parseRoutes(text).map(formatSubnet), ['192.0.2.0/24', '172.17.0.0/16']);
});

test('takes the first block that overlaps neither networks nor routes', () => {
  assert.equal(formatSubnet(chooseSubnet(defaultPools, [])), '172.17.0.0/16');
  const taken = ['172.16.0.0/12', '10.201.0.0/24'].map(parseSubnet);
  assert.equal(formatSubnet(chooseSubnet(defaultPools, taken)), '10.201.1.0/24');
  assert.throws(() => chooseSubnet([{ base: '10.0.0.0/24', size: 25 }], [parseSubnet('10.0.0.0/8')]), {
    kind: 'exhausted',
    message: 'all predefined address pools have been fully subnetted',
  });
});

const network: Network = {
  id: 'n',
  name: 'n',
  driver: 'bridge',
  internal: false,
  attachable: false,
  enableIPv6: false,
  subnet: '10.0.0.0/29',
  gateway: '10.0.0.1',
  options: {},
  labels: {},
  createdAt: '',
};

test('gives addresses in turn, comes round, and ends when none is free', () => {
  const taken = new Set<string>();
  const next = (after?: string): string =>
    allocateAddress(network, (one) => taken.has(one), undefined, after);
  assert.equal(next(), '10.0.0.2');
  assert.equal(next('10.0.0.2'), '10.0.0.3');
  assert.equal(next('10.0.0.6'), '10.0.0.2');
  for (let last = 2; last <= 6; last++) taken.add(`10.0.0.${last}`);
  assert.throws(() => next(), { kind: 'exhausted' });
});

test('keeps to the range, and checks an address that was asked for', () => {
  const ranged = { ...network, subnet: '10.0.0.0/24', ipRange: '10.0.0.64/28' };
  assert.equal(
    allocateAddress(ranged, () => false),
    '10.0.0.64',
  );
  assert.equal(
    allocateAddress(ranged, () => false, '10.0.0.9'),
    '10.0.0.9',
  );
  assert.throws(() => allocateAddress(network, () => false, '10.0.1.1'), { kind: 'invalid' });
  assert.throws(() => allocateAddress(network, () => false, '10.0.0.1'), { kind: 'conflict' });
  assert.throws(() => allocateAddress(network, () => true, '10.0.0.3'), { kind: 'conflict' });
});
