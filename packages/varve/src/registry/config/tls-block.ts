import { z } from 'zod';

const path = z.string().min(1);

/** The block `http.tls`, with distribution's keys. */
export const tlsBlock = z
  .strictObject({
    certificate: path.describe('PEM certificate with its chain.'),
    key: path.describe('PEM private key.'),
    clientcas: z
      .array(path)
      .default([])
      .describe('PEM authorities of client certificates; with them a client needs one.'),
    clientauth: z
      .enum(['require-and-verify-client-cert', 'verify-client-cert-if-given'])
      .default('require-and-verify-client-cert')
      .describe('Whether a client without a certificate is let in, to authenticate otherwise.'),
    minimumtls: z.enum(['tls1.2', 'tls1.3']).default('tls1.2').describe('Least version.'),
  })
  .optional();
