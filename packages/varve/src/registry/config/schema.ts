import { z } from 'zod';
import { trustBlock } from '../../distribution/index.ts';
import { authBlock } from './auth-block.ts';
import { compatibilityBlock } from './compatibility-block.ts';
import { httpBlock } from './http-block.ts';
import { logBlock } from './log-block.ts';
import { notificationsBlock } from './notifications-block.ts';
import { metadataBlock } from './metadata-block.ts';
import { proxyBlock } from './proxy-block.ts';
import { quotasBlock } from './quotas-block.ts';
import { storageBlock } from './storage-block.ts';
import { tagsBlock } from './tags-block.ts';
import { tracingBlock } from './tracing-block.ts';
import { uiBlock } from './ui-block.ts';

/** The configuration of a registry: docker/distribution's keys where they mean the same, and the bounds of this server. */
export const configSchema = z.strictObject({
  version: z.union([z.string(), z.number()]).default('0.1').describe('Version of the format: 0.1.'),
  log: logBlock,
  storage: storageBlock,
  http: httpBlock,
  auth: authBlock,
  compatibility: compatibilityBlock,
  metadata: metadataBlock,
  proxy: proxyBlock,
  quotas: quotasBlock,
  notifications: notificationsBlock,
  tags: tagsBlock,
  tracing: tracingBlock,
  trust: trustBlock,
  ui: uiBlock,
});

/** As written: everything is optional. */
export type RegistryConfigInput = z.input<typeof configSchema>;
/** With the defaults filled in. */
export type RegistryConfig = z.output<typeof configSchema>;

/**
 * Blocks of docker/distribution that change who may do what or where bytes go. To ignore one would be worse than not
 * to start.
 */
export const unsupportedBlocks: Readonly<Record<string, string>> = {
  'auth.silly': 'it lets everyone in',
  'proxy.exec': 'programs for credentials are not run: name them',
  middleware: 'middleware is not supported',
  'http.tls.letsencrypt': 'certificates are not fetched: name files',
  'http.tls.ciphersuites': 'the ciphers are the runtime’s',
  'http.net': 'only TCP is supported',
  'http.prefix': 'a path prefix is not supported',
  'storage.gcs.credentials': 'name a keyfile',
  'storage.inmemory': 'this storage is not supported: use a temporary folder',
};

/** Below these an unknown key is an error: a misspelt one must not leave a door open. */
export const strictBlocks: readonly string[] = ['auth', 'http.tls'];

/** Keys of docker/distribution that have nothing to do here, with the reason. */
export const needlessKeys: Readonly<Record<string, string>> = {
  'storage.cache': 'the records are a database: there is nothing to cache',
  'storage.filesystem.maxthreads': 'the runtime chooses',
  'storage.s3.v4auth': 'signatures are always of version 4',
  'storage.s3.multipartcopychunksize': 'an upload is copied in the chunks it came in',
  'storage.s3.multipartcopymaxconcurrency': 'four at once',
  'storage.s3.multipartcopythresholdsize': 'an upload is copied in the chunks it came in',
  'storage.s3.useragent': 'it is the SDK’s',
  'storage.s3.loglevel': 'failures are in the log of the registry',
  'storage.gcs.maxconcurrency': 'http.maxrequests bounds it',
  'storage.gcs.useragent': 'it is the SDK’s',
  'storage.azure.copy_status_poll_max_retry': 'nothing is copied in the background',
  'storage.azure.copy_status_poll_delay': 'nothing is copied in the background',
  'storage.azure.max_retries': 'an action is tried for about 13 seconds',
  'storage.swift.accesskey': 'secretkey is enough for TempURL',
  'storage.swift.tempurlcontainerkey': 'the key of the account is used',
  'storage.swift.tempurlmethods': 'GET and HEAD are used',
  'storage.tag': 'tags are looked up in an index',
  'compatibility.schema1.signingkeyfile': 'manifests are served with the signatures they were pushed with',
  'http.secret': 'uploads are kept by the server, not signed',
  'http.relativeurls': 'locations are always relative',
  'http.host': 'locations are always relative',
  'http.http2': 'plain HTTP is served as HTTP/1.1',
  'log.formatter': 'the log is JSON',
  'log.fields': 'set them on the logger',
};
