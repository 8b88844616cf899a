export { type CheckedConfig, type ConfigProblem, checkConfig, formatProblem, loadConfig } from './load.ts';
export { configSchema, parseAddress, type RegistryConfig, type RegistryConfigInput } from './schema.ts';
