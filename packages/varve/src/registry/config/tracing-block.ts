import { z } from 'zod';

/** The block `tracing`: where spans of requests go. */
export const tracingBlock = z
  .strictObject({
    otlp: z
      .strictObject({
        endpoint: z
          .url({ protocol: /^https?$/ })
          .describe('Where OTLP over HTTP is taken, such as http://127.0.0.1:4318/v1/traces.'),
        headers: z.record(z.string(), z.string()).default({}).describe('Headers of each export.'),
      })
      .optional(),
    service: z.string().min(1).default('varve-registry').describe('The name of the service in the traces.'),
    ratio: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('Share of requests that are traced; what a caller traces is traced always.'),
  })
  .prefault({});
