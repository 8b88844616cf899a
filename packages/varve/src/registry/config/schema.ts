import { z } from 'zod';
import { httpBlock } from './http-block.ts';
import { logBlock } from './log-block.ts';
import { storageBlock } from './storage-block.ts';

/** The configuration of a registry: docker/distribution's keys where they mean the same, and the bounds of this server. */
export const configSchema = z.strictObject({
  version: z.union([z.string(), z.number()]).default('0.1').describe('Version of the format: 0.1.'),
  log: logBlock,
  storage: storageBlock,
  http: httpBlock,
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
  auth: 'authentication is not supported yet: the registry would be open',
  proxy: 'the pull-through cache is not supported yet',
  middleware: 'middleware is not supported',
  'http.tls': 'TLS is not supported yet: put a proxy in front',
  'http.net': 'only TCP is supported',
  'http.prefix': 'a path prefix is not supported',
  'storage.s3': 'this storage is not supported yet',
  'storage.azure': 'this storage is not supported yet',
  'storage.gcs': 'this storage is not supported yet',
  'storage.swift': 'this storage is not supported yet',
  'storage.oss': 'this storage is not supported yet',
  'storage.inmemory': 'this storage is not supported: use a temporary folder',
};

/** Keys of docker/distribution that have nothing to do here, with the reason. */
export const needlessKeys: Readonly<Record<string, string>> = {
  'storage.cache': 'the records are a database: there is nothing to cache',
  'storage.redirect': 'local files are served by the registry itself',
  'storage.filesystem.maxthreads': 'the runtime chooses',
  'storage.tag': 'tags are looked up in an index',
  'http.secret': 'uploads are kept by the server, not signed',
  'http.relativeurls': 'locations are always relative',
  'http.host': 'locations are always relative',
  'http.http2': 'plain HTTP is served as HTTP/1.1',
  'log.formatter': 'the log is JSON',
  'log.fields': 'set them on the logger',
};
