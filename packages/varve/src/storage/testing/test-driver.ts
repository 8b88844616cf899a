import { after, describe } from 'node:test';
import { PowerCutDisk } from '../../linux/testing/index.ts';
import type { DriverUnderTest } from './rig.ts';
import { testChanges } from './suite-changes.ts';
import { testConcurrency } from './suite-concurrency.ts';
import { testCrashes } from './suite-crashes.ts';
import { testIdentity } from './suite-identity.ts';
import { testLayers } from './suite-layers.ts';
import { testLifecycle } from './suite-lifecycle.ts';
import { testPowerCuts } from './suite-power.ts';
import { testSequences } from './suite-sequences.ts';
import { testSizes } from './suite-sizes.ts';

/**
 * The conformance suite of storage drivers: what every one must do, in cases named by behaviour. A driver's own test file
 * calls it once; driver-specific facts are tested there.
 */
export function testDriver(under: DriverUnderTest): void {
  describe(`storage driver ${under.name}`, () => {
    // A disk in memory, on which waiting for the disk takes no time.
    const disk = under.folder === undefined ? new PowerCutDisk({ mebibytes: 4096 }) : undefined;
    const release = (): void => disk?.[Symbol.dispose]();
    // Where a filter leaves no test of the suite, nothing comes after them.
    process.once('exit', release);
    after(() => {
      process.off('exit', release);
      release();
    });
    const placed = disk ? { ...under, folder: disk.path } : under;
    testLifecycle(placed);
    testLayers(placed);
    testChanges(placed);
    testSequences(placed);
    testIdentity(placed);
    testConcurrency(placed);
    testCrashes(placed);
    testPowerCuts(placed);
    if (under.keepsSizes) testSizes(placed);
  });
}
