import type { X509Certificate } from 'node:crypto';
import type { RegistryConfig } from '../config/index.ts';
import type { TokenHolder } from './embedded-tokens.ts';

type CertificateConfig = NonNullable<NonNullable<RegistryConfig['auth']>['certificate']>;

/** Who a verified client certificate is; undefined when it has no such name. */
export function holderOfCertificate(
  certificate: X509Certificate,
  { name, groups }: CertificateConfig,
): TokenHolder | undefined {
  const found =
    name === 'commonname' ? subjectParts(certificate, 'CN')[0] : alternativeName(certificate, name);
  if (found === undefined || found === '' || found.length > 255) return undefined;
  const part = { organization: 'O', organizationalunit: 'OU', none: undefined }[groups];
  return {
    kind: 'user',
    name: found,
    via: 'certificate',
    groups: part === undefined ? [] : subjectParts(certificate, part),
  };
}

/** Values of one attribute of the subject, which node prints one a line. */
function subjectParts({ subject }: X509Certificate, attribute: string): string[] {
  // Node escapes with a backslash what could be taken for another attribute; such a name is nobody's.
  return subject
    .split('\n')
    .filter((line) => line.startsWith(`${attribute}=`) && !line.includes('\\'))
    .map((line) => line.slice(attribute.length + 1));
}

/** The first alternative name of a kind. Node prints odd values as JSON strings; those are nobody's, too. */
function alternativeName(
  { subjectAltName }: X509Certificate,
  kind: 'dns' | 'email' | 'uri',
): string | undefined {
  if (subjectAltName === undefined || subjectAltName.includes('"')) return undefined;
  const label = { dns: 'DNS:', email: 'email:', uri: 'URI:' }[kind];
  return subjectAltName
    .split(', ')
    .find((entry) => entry.startsWith(label))
    ?.slice(label.length);
}
