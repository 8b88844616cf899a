import { z } from 'zod';
import { byteSize } from './values.ts';

const bytes = byteSize.describe('Bytes that may be held, such as 50GiB, in powers of 1024.');

/** The block `quotas`. */
export const quotasBlock = z
  .array(
    z.union([
      z.strictObject({
        repository: z
          .string()
          .min(1)
          .describe('Glob; each repository that matches has this limit of its own.'),
        bytes,
      }),
      z.strictObject({
        namespace: z
          .string()
          .min(1)
          .describe('Glob; the repositories below each path that matches have this limit together.'),
        bytes,
      }),
    ]),
  )
  .default([])
  .describe('The first rule that matches counts, for repositories and for namespaces.');
