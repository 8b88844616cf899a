import { z } from 'zod';
import { duration } from './values.ts';

/** The block `ui`. */
export const uiBlock = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Pages for browsers under /ui/, behind the same access control.'),
    session: duration('12h', 'A login on the pages lasts so long.'),
    secret: z
      .string()
      .min(16)
      .optional()
      .describe('What sessions are signed with: the same on every node. By default each makes its own.'),
  })
  .prefault({});
