import { z } from 'zod';
import { duration } from './values.ts';

const repositories = z.string().min(1).default('**').describe('Glob of repository names.');
const optionalDuration = duration('0s', '').unwrap().optional();

/** The block `tags`: which never move, and which go. */
export const tagsBlock = z
  .strictObject({
    immutable: z
      .array(
        z.strictObject({
          repositories,
          tags: z.array(z.string().min(1)).min(1).describe('Globs; one that begins with ! leaves out.'),
        }),
      )
      .default([])
      .describe('Tags that point for ever at what they were pushed with, and cannot be deleted.'),
    retention: z
      .strictObject({
        interval: duration('24h', 'Time between two looks.'),
        rules: z
          .array(
            z.strictObject({
              repositories,
              tags: z
                .array(z.string().min(1))
                .min(1)
                .default(['**'])
                .describe('Tags that the rule is about.'),
              keep: z
                .strictObject({
                  newest: z.int().min(0).optional().describe('So many, by their last push.'),
                  pushedwithin: optionalDuration.describe('Those pushed no longer ago.'),
                  pulledwithin: optionalDuration.describe('Those pulled no longer ago.'),
                  matching: z
                    .array(z.string().min(1))
                    .optional()
                    .describe('Those that match one of these globs.'),
                })
                .describe('What of them stays; the others are deleted.'),
            }),
          )
          .default([]),
      })
      .prefault({}),
  })
  .prefault({});
