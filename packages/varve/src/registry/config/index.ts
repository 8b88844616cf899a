export { type ConfigKey, configJsonSchema, configKeys } from './json-schema.ts';
export { type CheckedConfig, type ConfigProblem, checkConfig, formatProblem, loadConfig } from './load.ts';
export { configSchema, type RegistryConfig, type RegistryConfigInput } from './schema.ts';
export { parseAddress, parseNetwork } from './values.ts';
export type {
  AzureSettings,
  GcsSettings,
  OssSettings,
  S3Settings,
  SwiftSettings,
} from './storage-backends-block.ts';
