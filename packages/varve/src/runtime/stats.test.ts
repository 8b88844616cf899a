import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBlkio, parseFlat, parseIoStat, parseNetDev, parseSystemCpu } from './stats.ts';

test('reads the machine’s processor time without steal', () => {
  const stat = 'cpu  1 2 3 4 5 6 7 800 900 0\ncpu0 1 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 1\n';
  assert.deepEqual(parseSystemCpu(stat), { usage: 28 * 1e7, online: 2 });
});

test('reads disk counters of both versions', () => {
  assert.deepEqual(parseBlkio('254:0 Read 4096\n254:0 Write 0\nTotal 4096\n'), [
    { major: 254, minor: 0, op: 'read', value: 4096 },
    { major: 254, minor: 0, op: 'write', value: 0 },
  ]);
  assert.deepEqual(parseIoStat('8:16 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:0\n'), [
    { major: 8, minor: 16, op: 'read', value: 10 },
    { major: 8, minor: 16, op: 'write', value: 20 },
  ]);
  assert.deepEqual(parseFlat('anon 5\nfile 6\n\njunk\n'), { anon: 5, file: 6 });
  assert.deepEqual(parseFlat(undefined), {});
});

test('reads the counters of interfaces but loopback', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
  eth0:10 2 3 4 0 0 0 0 50 6 7 8 0 0 0 0
`;
  assert.deepEqual(parseNetDev(text), {
    eth0: {
      rx_bytes: 10,
      rx_packets: 2,
      rx_errors: 3,
      rx_dropped: 4,
      tx_bytes: 50,
      tx_packets: 6,
      tx_errors: 7,
      tx_dropped: 8,
    },
  });
});
