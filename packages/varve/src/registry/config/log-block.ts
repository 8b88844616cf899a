import { z } from 'zod';

/** The block `log`. */
export const logBlock = z
  .strictObject({
    level: z.enum(['error', 'warn', 'info', 'debug']).default('info').describe('Least level that is logged.'),
    accesslog: z
      .strictObject({ disabled: z.boolean().default(false).describe('No line for each request.') })
      .prefault({}),
  })
  .prefault({});
