import { z } from 'zod';
import { duration } from './values.ts';

/** The block `notifications`: who is told of changes. */
export const notificationsBlock = z
  .strictObject({
    endpoints: z
      .array(
        z.strictObject({
          name: z.string().min(1).describe('Its name in the queue: a renamed one is another.'),
          url: z.url({ protocol: /^https?$/ }).describe('Where a CloudEvent is posted.'),
          disabled: z.boolean().default(false),
          headers: z.record(z.string(), z.array(z.string())).default({}).describe('Headers of each post.'),
          timeout: duration('10s', 'For one post.'),
          backoff: duration('1s', 'Pause after the first failure; it doubles, up to an hour.'),
          maxage: duration('72h', 'An event that could not be delivered for so long is dropped.'),
          repositories: z.string().min(1).default('**').describe('Glob of repository names.'),
          events: z
            .array(z.enum(['push', 'delete']))
            .min(1)
            .default(['push', 'delete']),
        }),
      )
      .default([])
      .refine((endpoints) => new Set(endpoints.map(({ name }) => name)).size === endpoints.length, {
        error: 'two endpoints have the same name',
      }),
  })
  .prefault({});
