export type { DriverUnderTest } from './rig.ts';
export { testDriver } from './test-driver.ts';
