export { type Accounts, openAccounts } from './accounts.ts';
export {
  type AccessControl,
  type AccessRequest,
  type Action,
  anonymous,
  createRobot,
  type Decision,
  type ExplainedAccess,
  explainAccess,
  hasExpired,
  type Identity,
  namedIdentity,
  type NewRobot,
  openAccess,
  type Reason,
  type Resource,
  robotPrefix,
  subjectOf,
} from './auth/index.ts';
export {
  type CheckedConfig,
  type ConfigKey,
  type ConfigProblem,
  checkConfig,
  configJsonSchema,
  configKeys,
  formatProblem,
  loadConfig,
  type RegistryConfig,
  type RegistryConfigInput,
} from './config/index.ts';
export { callControl } from './control/index.ts';
export { RegistryError, type RegistryErrorCode, registryErrorCodes } from './errors.ts';
export type { CollectDecision, CollectOptions, CollectReport } from './gc/index.ts';
export type { Maintenance, UsageReport } from './maintenance/index.ts';
export { type Registry, type RegistryOptions, startRegistry } from './start.ts';
export type { RegistryStorage, StoredBlob, StoredUpload, WriteSession } from './storage/index.ts';
