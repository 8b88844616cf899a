import { z } from 'zod';

/** The block `metadata`: where the records are. */
export const metadataBlock = z
  .strictObject({
    postgres: z
      .strictObject({
        url: z
          .string()
          .regex(/^postgres(?:ql)?:\/\//, {
            error: 'not an address such as postgres://user:password@host/database',
          })
          .describe('Where it is; PGPASSWORD and the other PG… variables count, too.'),
        connections: z.int().min(1).max(1000).default(16).describe('Connections for queries.'),
      })
      .optional()
      .describe(
        'For several servers on one storage. Without it the records are in a file of the root folder.',
      ),
  })
  .prefault({});
