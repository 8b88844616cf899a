import { mountsBelow, unmount } from '../../../linux/index.ts';
import { PowerCutDisk, type TestDisk } from '../../../linux/testing/index.ts';
import { parseStorageOptions } from '../../options.ts';
import { type DriverUnderTest, testDriver } from '../../testing/index.ts';
import { DeviceMapperDriver } from './devicemapper.ts';
import { endDevices } from './testing/devices.ts';
import { testDeviceMapper } from './testing/thin-cases.ts';

const roomy = parseStorageOptions(['dm.basesize=1G', 'dm.loopdatasize=2G', 'dm.loopmetadatasize=16M']);
/** For a disk of 128 MiB. */
const tight = parseStorageOptions([
  'dm.basesize=256M',
  'dm.loopdatasize=40M',
  'dm.loopmetadatasize=4M',
  'dm.min_free_space=5%',
]);

const small = new Set<string>();

/** A disk whose pool dies with it: the kernel would keep it on the dead one. */
function powerCutDisk(): TestDisk {
  const disk = new PowerCutDisk();
  small.add(disk.path);
  const letGo = (): void => {
    for (const { target } of mountsBelow(disk.path).reverse()) {
      if (target !== disk.path) unmount(target, { detach: true });
    }
    endDevices();
  };
  return {
    path: disk.path,
    cut: () => {
      disk.stop();
      letGo();
      disk.restart();
    },
    [Symbol.dispose]: () => {
      letGo();
      disk[Symbol.dispose]();
    },
  };
}

const under: DriverUnderTest = {
  name: 'devicemapper',
  create: (root) => {
    const isSmall = [...small].some((path) => root.startsWith(path));
    return new DeviceMapperDriver(root, isSmall ? tight : roomy);
  },
  module: new URL('./devicemapper.ts', import.meta.url),
  exported: 'DeviceMapperDriver',
  renamesLowerFolders: true,
  disk: powerCutDisk,
  // More would not go into the memory that one process of the guest can map.
  overfull: 45,
  kills: 2,
};

testDriver(under);
testDeviceMapper({ ...under, folder: '/var/tmp' });
