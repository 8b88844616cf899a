import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate with its key. */
export interface Identity {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
}

/** Kinds of keys by what `openssl req -newkey` calls them. */
const keyKinds = {
  'P-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'P-521': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  'RSA-2048': ['rsa:2048'],
  'RSA-3072': ['rsa:3072'],
} as const;

/** Authorities and the certificates they issue, made with openssl in a folder. */
export class TestAuthorities {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  authority(name: string): Identity {
    const request = ['-newkey', ...keyKinds['P-256'], '-nodes', '-keyout', `${name}.key`];
    this.#openssl('req', '-x509', ...request, '-out', `${name}.pem`, '-subj', `/CN=${name}`, '-days', '2');
    return this.#read(name);
  }

  /** @param usage the extended key usage */
  issue(authority: string, name: string, usage: string, kind: keyof typeof keyKinds = 'P-256'): Identity {
    writeFileSync(
      join(this.#folder, `${name}.ext`),
      `basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=${usage}\n`,
    );
    const request = ['-newkey', ...keyKinds[kind], '-nodes', '-keyout', `${name}.key`];
    this.#openssl('req', ...request, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const issuer = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial'];
    const files = ['-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.pem`];
    this.#openssl('x509', '-req', ...files, ...issuer, '-days', '2');
    return this.#read(name);
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { cwd: this.#folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  #read(name: string): Identity {
    const text = (end: string): string => readFileSync(join(this.#folder, `${name}.${end}`), 'utf8');
    return { certificate: new X509Certificate(text('pem')), key: createPrivateKey(text('key')) };
  }
}
