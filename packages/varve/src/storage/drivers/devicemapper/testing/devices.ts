import { readdirSync, readFileSync } from 'node:fs';
import { VarveError } from '../../../../base/index.ts';
import { DeviceMapper, decodeNames, deviceCommand, removeDeviceNode } from '../../../../linux/index.ts';

/** Names of the device mapper's devices that are ours. */
export function ourDevices(): string[] {
  using mapper = new DeviceMapper();
  return decodeNames(mapper.runSync(deviceCommand.list()))
    .filter((name) => name.startsWith('varve-'))
    .sort();
}

/** Blocks of data that the pool uses. */
export function usedBlocks(): number {
  using mapper = new DeviceMapper();
  const pool = ourDevices().find((name) => name.endsWith('-pool')) ?? '';
  const { payload } = mapper.runSync(deviceCommand.tableStatus(pool));
  const fields = payload.toString('latin1', 40).split(' ');
  return Number(fields[2]?.split('/')[0]);
}

/** Files that loop devices show, those that are deleted too. */
export function loopFiles(): string[] {
  return readdirSync('/sys/block').flatMap((name) => {
    try {
      return [readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim()];
    } catch {
      return [];
    }
  });
}

/** Ends all our devices: volumes first, then the pools under them. */
export function endDevices(): void {
  using mapper = new DeviceMapper();
  const isPool = (name: string): boolean => name.endsWith('-pool');
  for (const name of ourDevices().sort((a, b) => Number(isPool(a)) - Number(isPool(b)))) {
    try {
      mapper.runSync(deviceCommand.remove(name, { deferred: true }));
    } catch (error) {
      // It went with its last user in the meantime.
      if (!VarveError.is(error) || error.code !== 'ENXIO') throw error;
    }
    removeDeviceNode(name);
  }
}
