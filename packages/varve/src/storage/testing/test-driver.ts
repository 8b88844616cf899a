import { describe } from 'node:test';
import type { DriverUnderTest } from './rig.ts';
import { testChanges } from './suite-changes.ts';
import { testCrashes } from './suite-crashes.ts';
import { testLayers } from './suite-layers.ts';
import { testLifecycle } from './suite-lifecycle.ts';
import { testPowerCuts } from './suite-power.ts';
import { testSizes } from './suite-sizes.ts';

/**
 * The conformance suite of storage drivers: what every one must do, in cases named by behaviour. A driver's own test file
 * calls it once; driver-specific facts are tested there.
 */
export function testDriver(under: DriverUnderTest): void {
  describe(`storage driver ${under.name}`, () => {
    testLifecycle(under);
    testLayers(under);
    testChanges(under);
    testCrashes(under);
    testPowerCuts(under);
    if (under.keepsSizes) testSizes(under);
  });
}
