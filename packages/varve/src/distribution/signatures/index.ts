export { readCertificates, readPublicKeys } from './certificates.ts';
export { cosignArtifactType, cosignTag, simpleSigningType } from './cosign.ts';
export { findTrust } from './find-trust.ts';
export { notationArtifactType } from './notation.ts';
export { readTrustPolicies, requireTrust, type TrustPolicy, trustBlock } from './policy.ts';
export { RemoteSignatures } from './remote-signatures.ts';
export { checkSchema1, openSchema1, type Schema1Envelope, schema1SignedType } from './schema1.ts';
export type { SignatureSource, TrustedSigners, TrustVerdict } from './types.ts';
