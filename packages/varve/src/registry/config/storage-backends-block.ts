import { z } from 'zod';

const mebibyte = 1024 * 1024;

const text = (description: string): z.ZodString => z.string().min(1).describe(description);
const flag = (fallback: boolean, description: string): z.ZodDefault<z.ZodBoolean> =>
  z.boolean().default(fallback).describe(description);
const rootdirectory = z
  .string()
  .regex(/^[A-Za-z0-9!_.*'()/-]*$/, { error: 'not a prefix of letters, digits, / . _ -' })
  .default('')
  .describe('Prefix of all keys.');
const chunksize = z
  .int()
  .min(mebibyte / 2)
  .max(1024 * mebibyte)
  .optional()
  .describe(
    'Bytes of an upload held in memory before they go to the store, twice (8 MiB; less when many push).',
  );

export const s3Block = z.strictObject({
  accesskey: text('Access key; without one the environment of the AWS SDK decides.').optional(),
  secretkey: text('Secret key.').optional(),
  sessiontoken: text('Session token of temporary credentials.').optional(),
  region: text('Region.').default('us-east-1'),
  regionendpoint: text('Address of a store that is not AWS, e.g. http://10.0.0.1:9000.').optional(),
  forcepathstyle: z
    .boolean()
    .optional()
    .describe('Bucket in the path, not in the host name; true when regionendpoint is set.'),
  bucket: text('Bucket; it must exist.'),
  rootdirectory,
  encrypt: flag(false, 'Ask the store to encrypt.'),
  keyid: text('KMS key for encrypt.').optional(),
  secure: flag(true, 'HTTPS, for a regionendpoint without a scheme.'),
  skipverify: flag(false, 'Accept any certificate.'),
  storageclass: text('Storage class of what is written.').optional(),
  accelerate: flag(false, 'S3 Transfer Acceleration.'),
  usedualstack: flag(false, 'Endpoints with IPv6.'),
  usefipsendpoint: flag(false, 'FIPS endpoints.'),
  chunksize,
});

export const azureBlock = z.strictObject({
  accountname: text('Storage account.'),
  accountkey: text('Its key, base64.'),
  container: text('Container; it must exist.'),
  realm: text('Domain of the endpoints.').default('core.windows.net'),
  serviceurl: text('Address of the blob service, where it is not https://<account>.blob.<realm>.').optional(),
  rootdirectory,
  chunksize,
});

export const gcsBlock = z.strictObject({
  bucket: text('Bucket; it must exist.'),
  keyfile: text(
    'JSON key of a service account; without one the environment of the Google SDK decides.',
  ).optional(),
  apiendpoint: text('Address of a store that is not Google’s.').optional(),
  rootdirectory,
  chunksize,
});

export const swiftBlock = z
  .strictObject({
    authurl: text('Address of tempauth (…/auth/v1.0) or Keystone (…/v3).'),
    username: text('User.').optional(),
    password: text('Password.').optional(),
    applicationcredentialid: text(
      'Application credential of Keystone, in place of user and password.',
    ).optional(),
    applicationcredentialsecret: text('Its secret.').optional(),
    container: text('Container; it must exist.'),
    region: text('Region, when the catalogue has several.').optional(),
    tenant: text('Project, by name.').optional(),
    tenantid: text('Project, by id.').optional(),
    domain: text('Domain of the user, by name.').optional(),
    domainid: text('Domain of the user, by id.').optional(),
    tenantdomain: text('Domain of the project, by name.').optional(),
    tenantdomainid: text('Domain of the project, by id.').optional(),
    trustid: text('Trust.').optional(),
    endpointtype: z
      .enum(['public', 'internal', 'admin'])
      .default('public')
      .describe('Kind of address of the catalogue.'),
    insecureskipverify: flag(false, 'Accept any certificate.'),
    secretkey: text('TempURL key of the account; with it, reads redirect.').optional(),
    rootdirectory,
    prefix: z.string().optional().describe('Older name of rootdirectory.'),
    chunksize,
  })
  .check(({ value, issues }) => {
    const byUser = value.username !== undefined && value.password !== undefined;
    const byCredential =
      value.applicationcredentialid !== undefined && value.applicationcredentialsecret !== undefined;
    if (byUser !== byCredential) return;
    issues.push({
      code: 'custom',
      input: value,
      path: ['username'],
      message: 'username and password, or applicationcredentialid and applicationcredentialsecret',
    });
  });

export const ossBlock = z.strictObject({
  accesskeyid: text('Access key.'),
  accesskeysecret: text('Its secret.'),
  region: text('Region, e.g. oss-cn-hangzhou.'),
  endpoint: text('Address, where it is not that of the region.').optional(),
  internal: flag(false, 'The address inside Alibaba Cloud.'),
  bucket: text('Bucket; it must exist.'),
  encrypt: flag(false, 'Ask the store to encrypt (AES256, or KMS with encryptionkeyid).'),
  encryptionkeyid: text('KMS key.').optional(),
  secure: flag(true, 'HTTPS.'),
  rootdirectory,
  chunksize,
});

/** A backend that is none of ours: the module's path, and whatever it takes. */
export const moduleBlock = z.string().min(1).describe('Path of an ES module that opens the storage.');

export type S3Settings = z.output<typeof s3Block>;
export type AzureSettings = z.output<typeof azureBlock>;
export type GcsSettings = z.output<typeof gcsBlock>;
export type SwiftSettings = z.output<typeof swiftBlock>;
export type OssSettings = z.output<typeof ossBlock>;

/** The keys of `storage` that name a backend other than the local file system. At most one may be set. */
export const backendKeys = ['s3', 'azure', 'gcs', 'swift', 'oss', 'module'] as const;

export const storageBackends = {
  s3: s3Block.optional().describe('Amazon S3 and what speaks its protocol.'),
  azure: azureBlock.optional().describe('Azure Blob Storage.'),
  gcs: gcsBlock.optional().describe('Google Cloud Storage.'),
  swift: swiftBlock.optional().describe('OpenStack Swift.'),
  oss: ossBlock.optional().describe('Alibaba Cloud OSS.'),
  module: moduleBlock.optional(),
  options: z.record(z.string(), z.unknown()).optional().describe('What the module is given.'),
  redirect: z
    .strictObject({
      disable: flag(false, 'Serve blobs from here, even where the store could.'),
      expires: z
        .int()
        .min(10)
        .max(7 * 24 * 3600)
        .default(1200)
        .describe('Seconds for which an address to read from is good.'),
    })
    .prefault({}),
};
