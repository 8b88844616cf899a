import { z } from 'zod';
import { tlsBlock } from './tls-block.ts';
import { address, duration } from './values.ts';

/** The block `http`. */
export const httpBlock = z
  .strictObject({
    addr: address.default('127.0.0.1:5000').describe('Address to listen on; port 0 takes a free one.'),
    headers: z
      .record(z.string().regex(/^[A-Za-z0-9-]+$/), z.array(z.string().regex(/^[\t\x20-\x7e]*$/)))
      .default({})
      .describe('Headers of every answer.'),
    tls: tlsBlock,
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
  .prefault({});
