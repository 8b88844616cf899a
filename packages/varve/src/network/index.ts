export { isDefaultBridge, optionNames } from './catalog.ts';
export { type ContainerFiles, type ContainerFilesRequest, containerFiles } from './container-files.ts';
export { embeddedDnsAddress } from './dns-server.ts';
export { type NetworkDependencies, NetworkManager, type NetworkOptions } from './manager.ts';
export { type AddressPool, defaultPools } from './pools.ts';
export type * from './types.ts';
