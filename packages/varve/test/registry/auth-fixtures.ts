import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import bcrypt from 'bcryptjs';
import { type JWTPayload, SignJWT } from 'jose';
import { type Answer, httpCall } from '../../src/registry/testing/index.ts';

/** Writes a file of htpasswd with the least cost that bcrypt has. */
export function writeHtpasswd(path: string, users: Readonly<Record<string, string>>): string {
  const lines = Object.entries(users).map(([user, password]) => `${user}:${bcrypt.hashSync(password, 4)}`);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

export function basic(user: string, password: string): { Authorization: string } {
  return { Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

export function bearer(token: string): { Authorization: string } {
  return { Authorization: `Bearer ${token}` };
}

/** Asks the embedded token server as docker does. */
export async function tokenOf(
  url: string,
  scopes: readonly string[],
  credentials: Record<string, string> = {},
  extra = '',
): Promise<{ readonly token: string; readonly scope: string; readonly refresh_token?: string }> {
  const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
  const answer = await httpCall(url, 'GET', `/token?service=varve-registry&${query}${extra}`, {
    headers: credentials,
  });
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body.toString()}`);
  return answer.json() as { token: string; scope: string };
}

/** The `detail` of the first error of a body. */
export function detailOf(answer: Answer): Readonly<Record<string, unknown>> {
  const { errors } = answer.json() as { readonly errors: readonly { readonly detail?: unknown }[] };
  return (errors[0]?.detail ?? {}) as Readonly<Record<string, unknown>>;
}

export interface KeyPair {
  readonly keyPath: string;
  readonly certificatePath: string;
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
}

/** Makes a certificate with openssl: self-signed, or by an issuer. */
export function makeCertificate(
  folder: string,
  name: string,
  options: {
    readonly subject?: string;
    readonly issuer?: KeyPair;
    readonly ca?: boolean;
    readonly extension?: string;
  } = {},
): KeyPair {
  const [keyPath, certificatePath] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const { issuer, subject = `/CN=${name}`, ca = false } = options;
  const argv = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  argv.push('-subj', subject, '-keyout', keyPath, '-out', certificatePath, '-days', '2');
  argv.push('-addext', `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`);
  if (options.extension !== undefined) argv.push('-addext', options.extension);
  if (issuer) argv.push('-CA', issuer.certificatePath, '-CAkey', issuer.keyPath);
  execFileSync('openssl', argv, { stdio: 'ignore' });
  return {
    keyPath,
    certificatePath,
    key: createPrivateKey(readFileSync(keyPath)),
    certificate: new X509Certificate(readFileSync(certificatePath)),
  };
}

export interface TokenOptions {
  readonly issuer?: string;
  readonly audience?: string;
  readonly subject?: string;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly algorithm?: string;
  /** Seconds from now. */
  readonly notBefore?: number;
  readonly expires?: number;
  readonly claims?: JWTPayload;
}

/** Signs a token as an outside auth server would: an independent writer of what the registry reads. */
export async function signToken(
  key: KeyObject | Uint8Array,
  access: readonly { readonly type: string; readonly name: string; readonly actions: readonly string[] }[],
  options: TokenOptions = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return await new SignJWT({ access, ...options.claims })
    .setProtectedHeader({ alg: options.algorithm ?? 'ES256', typ: 'JWT', ...options.header })
    .setIssuer(options.issuer ?? 'auth.example')
    .setAudience(options.audience ?? 'registry.example')
    .setSubject(options.subject ?? 'alice')
    .setNotBefore(now + (options.notBefore ?? -1))
    .setExpirationTime(now + (options.expires ?? 300))
    .setIssuedAt(now)
    .sign(key);
}

export const repository = (
  name: string,
  ...actions: readonly string[]
): { type: string; name: string; actions: readonly string[] } => ({ type: 'repository', name, actions });
