import { z } from 'zod';
import { parseDuration } from '../../base/index.ts';

const duration = (fallback: string, description: string): z.ZodDefault<z.ZodString> =>
  z
    .string()
    .refine(
      (text) => {
        try {
          return parseDuration(text) >= 0;
        } catch {
          return false;
        }
      },
      { error: 'not a duration such as 30s or 24h' },
    )
    .default(fallback)
    .describe(description);

const address = z.string().refine((text) => parseAddress(text) !== undefined, {
  error: 'not an address such as 127.0.0.1:5000 or :5000',
});

/** The configuration of a registry: docker/distribution's keys where they mean the same, and the bounds of this server. */
export const configSchema = z.strictObject({
  version: z.union([z.string(), z.number()]).default('0.1').describe('Version of the format: 0.1.'),
  log: z
    .strictObject({
      level: z
        .enum(['error', 'warn', 'info', 'debug'])
        .default('info')
        .describe('Least level that is logged.'),
      accesslog: z
        .strictObject({ disabled: z.boolean().default(false).describe('No line for each request.') })
        .prefault({}),
    })
    .prefault({}),
  storage: z
    .strictObject({
      filesystem: z
        .strictObject({
          rootdirectory: z
            .string()
            .min(1)
            .default('/var/lib/varve/registry')
            .describe('Folder of the blobs, the uploads and the records.'),
        })
        .prefault({}),
      delete: z
        .strictObject({
          enabled: z.boolean().default(false).describe('Allow DELETE of tags, manifests and blobs.'),
        })
        .prefault({}),
      maintenance: z
        .strictObject({
          uploadpurging: z
            .strictObject({
              enabled: z.boolean().default(true).describe('Drop abandoned uploads.'),
              age: duration('168h', 'An upload untouched for so long is abandoned.'),
              interval: duration('24h', 'Time between two looks.'),
            })
            .prefault({}),
          collect: z
            .strictObject({
              enabled: z.boolean().default(true).describe('Remove blobs that no manifest needs.'),
              interval: duration('24h', 'Time between two collections.'),
              grace: duration('24h', 'What is younger, or was asked for since, stays.'),
              untagged: z.boolean().default(false).describe('Remove manifests that nothing leads to, too.'),
            })
            .prefault({}),
          readonly: z
            .strictObject({ enabled: z.boolean().default(false).describe('Answer 405 to every write.') })
            .prefault({}),
        })
        .prefault({}),
    })
    .prefault({}),
  http: z
    .strictObject({
      addr: address.default('127.0.0.1:5000').describe('Address to listen on; port 0 takes a free one.'),
      headers: z
        .record(z.string().regex(/^[A-Za-z0-9-]+$/), z.array(z.string().regex(/^[\t\x20-\x7e]*$/)))
        .default({})
        .describe('Headers of every answer.'),
      draintimeout: duration('10s', 'How long running requests may take when the server stops.'),
      idletimeout: duration('2m', 'A connection on which nothing moves for so long is closed.'),
      maxrequests: z
        .int()
        .min(1)
        .max(100_000)
        .default(1024)
        .describe('Requests answered at once; more get 429.'),
      maxconnections: z.int().min(1).max(1_000_000).default(10_000).describe('Open connections.'),
    })
    .prefault({}),
});

/** As written: everything is optional. */
export type RegistryConfigInput = z.input<typeof configSchema>;
/** With the defaults filled in. */
export type RegistryConfig = z.output<typeof configSchema>;

/** Splits `host:port`, `[v6]:port` or `:port`; undefined when it is none. */
export function parseAddress(
  text: string,
): { readonly host: string | undefined; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text);
  if (!match || Number(match[3]) > 65535) return undefined;
  return { host: match[1] || match[2] || undefined, port: Number(match[3]) };
}

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
