import { z } from 'zod';

/** The block `compatibility`: what only old clients need. */
export const compatibilityBlock = z
  .strictObject({
    schema1: z
      .strictObject({
        enabled: z
          .boolean()
          .default(false)
          .describe('Let Docker manifests of schema 1 be pushed; those that are here are served anyway.'),
      })
      .prefault({}),
  })
  .prefault({});
