import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { temporaryRoot } from '../testing/index.ts';
import { holderOfCertificate } from './client-certificate.ts';

function certificate(
  t: TestContext,
  subject: string,
  alternative?: string,
  extra: readonly string[] = [],
): X509Certificate {
  const folder = temporaryRoot(t);
  const argv = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  argv.push('-utf8', '-subj', subject, '-keyout', `${folder}/key`, '-days', '2', ...extra);
  if (alternative !== undefined) argv.push('-addext', `subjectAltName=${alternative}`);
  return new X509Certificate(execFileSync('openssl', argv, { stdio: ['ignore', 'pipe', 'ignore'] }));
}

test('reads the name and the groups where the configuration says they are', (t) => {
  const pair = certificate(
    t,
    '/O=acme/OU=dev/OU=ops/CN=alice',
    'email:alice@acme.example,URI:spiffe://acme/alice,DNS:host',
  );
  const of = (
    name: 'commonname' | 'dns' | 'email' | 'uri',
    groups: 'none' | 'organization' | 'organizationalunit',
  ): unknown => {
    const holder = holderOfCertificate(pair, { name, groups });
    return holder && [holder.name, holder.groups];
  };
  assert.deepEqual(of('commonname', 'organizationalunit'), ['alice', ['dev', 'ops']]);
  assert.deepEqual(of('email', 'organization'), ['alice@acme.example', ['acme']]);
  assert.deepEqual(of('uri', 'none'), ['spiffe://acme/alice', []]);
  assert.deepEqual(of('dns', 'none'), ['host', []]);
  assert.equal(
    holderOfCertificate(certificate(t, '/O=acme'), { name: 'commonname', groups: 'none' }),
    undefined,
  );
  assert.equal(holderOfCertificate(certificate(t, '/CN=x'), { name: 'email', groups: 'none' }), undefined);
});

test('lets no part of a certificate pass for another', (t) => {
  const broken = certificate(t, '/O=evil\nCN=root\nOU=ops/CN=eve');
  assert.deepEqual(holderOfCertificate(broken, { name: 'commonname', groups: 'organizationalunit' }), {
    kind: 'user',
    name: 'eve',
    via: 'certificate',
    groups: [],
  });
  // A name with a comma in it, which only a configuration file can say.
  const folder = temporaryRoot(t);
  writeFileSync(
    `${folder}/config`,
    '[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\nCN=eve\n[ext]\nsubjectAltName=@alt\n[alt]\nDNS.1="eve.example, email:root@acme.example"\n',
  );
  const comma = certificate(t, '/CN=eve', undefined, ['-config', `${folder}/config`]);
  assert.match(String(comma.subjectAltName), /root@acme/);
  for (const name of ['email', 'dns'] as const) {
    assert.equal(holderOfCertificate(comma, { name, groups: 'none' }), undefined, comma.subjectAltName);
  }
});
