export { childEnvironment } from './compile-cache.ts';
export { asObject, type Listing, listTree } from './listing.ts';
export { type DriverUnderTest, Rig } from './rig.ts';
export { testSizes } from './suite-sizes.ts';
export { makeTar, type TestEntry } from './tar.ts';
export { testDriver } from './test-driver.ts';
