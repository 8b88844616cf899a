import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryRoot } from '../testing/index.ts';
import { verifyChain } from './certificate-chain.ts';

/** An authority, an authority below it, and a certificate of that one, as openssl makes them. */
function chain(t: TestContext): Record<'root' | 'middle' | 'leaf', X509Certificate> {
  const folder = temporaryRoot(t);
  const make = (name: string, issuer: string | undefined, ca: boolean): X509Certificate => {
    const [key, pem] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
    const argv = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    argv.push('-subj', `/CN=${name}`, '-keyout', key, '-out', pem, '-days', '2');
    argv.push('-addext', `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`);
    if (issuer !== undefined) {
      argv.push('-CA', join(folder, `${issuer}.pem`), '-CAkey', join(folder, `${issuer}.key`));
    }
    execFileSync('openssl', argv, { stdio: 'ignore' });
    return new X509Certificate(readFileSync(pem));
  };
  return {
    root: make('root', undefined, true),
    middle: make('middle', 'root', true),
    leaf: make('leaf', 'middle', false),
  };
}

const x5c = (...certificates: readonly X509Certificate[]): string[] =>
  certificates.map(({ raw }) => raw.toString('base64'));

test('follows a chain over an authority in between, in any order behind the first', (t) => {
  const { root, middle, leaf } = chain(t);
  assert.equal(verifyChain(x5c(leaf, middle), [root]).subject, 'CN=leaf');
  assert.equal(verifyChain(x5c(leaf, root, middle), [root]).subject, 'CN=leaf');
  assert.equal(verifyChain(x5c(leaf), [middle]).subject, 'CN=leaf');
  assert.equal(verifyChain(x5c(leaf), [leaf]).subject, 'CN=leaf');
});

test('refuses a chain with a gap, out of its time, or of a leaf that acts as an authority', (t) => {
  const { root, middle, leaf } = chain(t);
  const untrusted = { message: 'the certificate of the token does not lead to a trusted one' };
  assert.throws(() => verifyChain(x5c(leaf), [root]), untrusted);
  assert.throws(() => verifyChain(x5c(leaf, middle), []), untrusted);
  assert.throws(() => verifyChain(x5c(middle, leaf), [leaf]), untrusted);
  const day = 86_400_000;
  assert.throws(() => verifyChain(x5c(leaf, middle), [root], Date.now() + 3 * day), {
    message: 'a certificate has expired',
  });
  assert.throws(() => verifyChain(x5c(leaf, middle), [root], Date.now() - day), {
    message: 'a certificate is not yet valid',
  });
  assert.throws(() => verifyChain(['AAAA'], [root]), {
    message: 'x5c holds something that is no certificate',
  });
  assert.throws(() => verifyChain('x', [root]), { message: 'x5c is not a chain of certificates' });
});
