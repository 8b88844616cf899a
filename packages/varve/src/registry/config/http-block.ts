import { z } from 'zod';
import { tlsBlock } from './tls-block.ts';
import { address, duration, network } from './values.ts';

/** The block `http`. */
export const httpBlock = z
  .strictObject({
    addr: address.default('127.0.0.1:5000').describe('Address to listen on; port 0 takes a free one.'),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]+$/), z.array(z.string().regex(/^[\t\x20-\x7e]*$/)))
      .default({})
      .describe('Headers of every answer.'),
    tls: tlsBlock,
    debug: z
      .strictObject({
        addr: address.describe('Address for /metrics, /healthz and /readyz; not for the world.'),
        prometheus: z
          .strictObject({
            enabled: z.boolean().default(false).describe('Count for Prometheus.'),
            path: z.string().startsWith('/').default('/metrics'),
          })
          .prefault({}),
      })
      .optional(),
    ratelimit: z
      .array(
        z.strictObject({
          methods: z
            .array(z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']))
            .default([])
            .describe('All when there is none.'),
          repositories: z.string().min(1).default('**').describe('Glob of repository names.'),
          rate: z.number().positive().describe('Requests a second of one client in the long run.'),
          burst: z.number().min(1).describe('Requests at once after a pause.'),
        }),
      )
      .default([])
      .describe('A client that goes beyond one of these gets 429.'),
    draintimeout: duration('10s', 'How long running requests may take when the server stops.'),
    idletimeout: duration('2m', 'A connection on which nothing moves for so long is closed.'),
    trustedproxies: z
      .array(network)
      .default([])
      .describe('Addresses and networks of proxies whose X-Forwarded-For names the client.'),
    maxrequests: z
      .int()
      .min(1)
      .max(100_000)
      .default(1024)
      .describe('Requests answered at once; more get 429.'),
    maxconnections: z.int().min(1).max(1_000_000).default(10_000).describe('Open connections.'),
  })
  .prefault({});
