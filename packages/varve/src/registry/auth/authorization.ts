/** What an Authorization header holds. */
export type Credentials =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }
  | { readonly scheme: 'unknown' };

const maxPasswordBytes = 16 * 1024;

/**
 * Reads an Authorization header (RFC 7617, RFC 6750). Basic with neither name nor password is what some clients send
 * for nobody.
 */
export function readAuthorization(header: string | undefined): Credentials {
  if (header === undefined || header === '') return { scheme: 'none' };
  const match = /^(basic|bearer) +([A-Za-z0-9\-._~+/]+=*) *$/i.exec(header);
  const [, scheme = '', value = ''] = match ?? [];
  if (scheme.toLowerCase() === 'bearer') return { scheme: 'bearer', token: value };
  if (scheme.toLowerCase() !== 'basic' || value.length > maxPasswordBytes * 2) return { scheme: 'unknown' };
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0 || text.includes('\0')) return { scheme: 'unknown' };
  const [user, password] = [text.slice(0, colon), text.slice(colon + 1)];
  return user === '' && password === '' ? { scheme: 'none' } : { scheme: 'basic', user, password };
}
