export { certificateFolder } from './certificates.ts';
export { RegistryClient, type RegistryClientOptions } from './client.ts';
export type { HelperRunner } from './credential-helper.ts';
export { DockerConfig } from './docker-config.ts';
export { defaultRetry, type RetryPolicy } from './retry.ts';
export {
  checkSchema1,
  cosignTag,
  findTrust,
  notationArtifactType,
  openSchema1,
  readTrustPolicies,
  RemoteSignatures,
  requireTrust,
  type Schema1Envelope,
  schema1SignedType,
  type SignatureSource,
  simpleSigningType,
  type TrustedSigners,
  type TrustPolicy,
  type TrustVerdict,
  trustBlock,
} from './signatures/index.ts';
export { type DownloadOptions, downloadBlob } from './transfer.ts';
export type { ProxySettings, TlsOptions } from './transport.ts';
export type * from './types.ts';
