import { isIP } from 'node:net';
import { z } from 'zod';
import { parseBytes, parseDuration } from '../../base/index.ts';

/** A Go duration such as `30s` with its default. */
export function duration(fallback: string, description: string): z.ZodDefault<z.ZodString> {
  return z
    .string()
    .refine(
      (text) => {
        try {
          return parseDuration(text) >= 0;
        } catch {
          return false;
        }
      },
      { error: 'not a duration such as 30s or 24h' },
    )
    .default(fallback)
    .describe(description);
}

/** `host:port`, `[v6]:port` or `:port`. */
export const address = z.string().refine((text) => parseAddress(text) !== undefined, {
  error: 'not an address such as 127.0.0.1:5000 or :5000',
});

/** An address or a network, `10.0.0.0/8`. */
export const network = z.string().refine((text) => parseNetwork(text) !== undefined, {
  error: 'not an address or a network such as 10.0.0.0/8',
});

/** Reads an address or a network; undefined when it is none. */
export function parseNetwork(
  text: string,
): { readonly address: string; readonly prefix: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined;
  const longest = version === 6 ? 128 : 32;
  const prefix = bits === undefined ? longest : Number(bits);
  return prefix > longest ? undefined : { address, prefix, family: version === 6 ? 'ipv6' : 'ipv4' };
}

/** Splits `host:port`, `[v6]:port` or `:port`; undefined when it is none. */
export function parseAddress(
  text: string,
): { readonly host: string | undefined; readonly port: number } | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(text);
  if (!match || Number(match[3]) > 65535) return undefined;
  return { host: match[1] || match[2] || undefined, port: Number(match[3]) };
}

/** A number of bytes such as `50GiB` or `1.5TB`, in powers of 1024 either way. */
export const byteSize = z.string().refine(
  (text) => {
    try {
      return parseBytes(text) > 0;
    } catch {
      return false;
    }
  },
  { error: 'not a number of bytes such as 500MiB or 50GiB' },
);
