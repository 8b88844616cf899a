import { z } from 'zod';
import { duration } from './values.ts';

const upstream = {
  remoteurl: z
    .url({ protocol: /^https?$/ })
    .refine((text) => new URL(text).pathname === '/', {
      error: 'an address of a host, with nothing below it',
    })
    .describe('Where it is; its credentials go to no other host.'),
  username: z.string().optional(),
  password: z.string().optional(),
  tokenrealms: z
    .array(z.string().min(1))
    .default([])
    .describe('Hosts of token servers that may be given the credentials, besides its own.'),
  checkinterval: duration('5m', 'A tag that was asked for so lately is not asked for again.'),
  ttl: duration('168h', 'A tag that nobody pulled for so long is dropped; 0s keeps all.'),
};

/** The block `proxy`: what comes from other registries. */
export const proxyBlock = z
  .strictObject({
    remoteurl: upstream.remoteurl
      .optional()
      .describe('docker/distribution’s form: everything comes from there.'),
    username: upstream.username,
    password: upstream.password,
    ttl: upstream.ttl,
    upstreams: z
      .array(
        z.strictObject({
          prefix: z
            .string()
            .regex(/^[a-z0-9]+(?:[._-][a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-][a-z0-9]+)*)*$/, {
              error: 'not the beginning of a repository name, such as docker.io or mirror/quay',
            })
            .describe('`docker.io` holds what the other registry has at the top.'),
          ...upstream,
        }),
      )
      .default([]),
  })
  .prefault({})
  .check(({ value, issues }) => {
    if (value.remoteurl === undefined || value.upstreams.length === 0) return;
    issues.push({
      code: 'custom',
      input: value,
      path: ['remoteurl'],
      message: 'use this or upstreams, not both',
    });
  });
