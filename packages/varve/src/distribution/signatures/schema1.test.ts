import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { signSchema1 } from '../testing/index.ts';
import { checkSchema1, openSchema1 } from './index.ts';

const one = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
const document = { schemaVersion: 1, name: 'app', tag: 'v1', fsLayers: [] };
const { envelope, payload } = signSchema1(document, one);
const changed = (from: string | RegExp, to: string, bytes = envelope): Buffer =>
  Buffer.from(bytes.toString().replace(from, to));

test('gives the bytes that were signed', () => {
  const opened = openSchema1(envelope);
  assert.ok(typeof opened === 'object');
  assert.deepEqual(Buffer.from(opened.payload), payload);
  assert.deepEqual(opened.document, document);
});

test('takes what a trusted key signed, and with none what every key signed that it names', () => {
  assert.equal(checkSchema1(envelope, []), undefined);
  assert.equal(checkSchema1(envelope, [one.publicKey]), undefined);
  assert.equal(checkSchema1(envelope, [other.publicKey]), 'none of the trusted keys made it');
  const both = signSchema1(document, one, other).envelope;
  assert.equal(checkSchema1(both, []), undefined);
  assert.equal(checkSchema1(both, [other.publicKey]), undefined);
  // The second signature is taken from another document.
  const stray = signSchema1({ ...document, tag: 'v2' }, other).envelope.toString();
  const signature = /"signature":"[^"]+"/;
  const broken = changed(/(.*)"signature":"[^"]+"/s, `$1${signature.exec(stray)?.[0]}`, both);
  assert.equal(checkSchema1(broken, []), 'its bytes were changed');
  assert.equal(checkSchema1(broken, [one.publicKey]), undefined);
  assert.match(checkSchema1(broken, [other.publicKey]) ?? '', /changed|trusted/);
});

const refused: readonly (readonly [what: string, bytes: Buffer, reason: RegExp])[] = [
  ['bytes that were changed', changed('"v1"', '"v2"'), /its bytes were changed/],
  [
    'members beside the signed ones',
    changed('"signatures"', '"tag": "v2", "signatures"'),
    /another document/,
  ],
  ['no signature', payload, /it is not signed/],
  ['an empty list of signatures', changed(/"signatures": .*/, '"signatures": []'), /it is not signed/],
  ['bytes that are no JSON', Buffer.from('{'), /it is not signed/],
  ['a length beyond the end', withHead({ formatLength: 1e9, formatTail: 'Cn0' }), /malformed/],
  ['a negative length', withHead({ formatLength: -1, formatTail: 'Cn0' }), /malformed/],
  ['a tail of its own', withHead({ formatLength: 0, formatTail: btoa('{"a":1}') }), /another document/],
  ['an algorithm without a public key', changed('ES256', 'HS256'), /its algorithm is "HS256"/],
  ['an algorithm that is no own member', changed('ES256', 'toString'), /its algorithm is "toString"/],
  [
    'an algorithm that is no name',
    changed('"ES256"', `${'['.repeat(1e5)}${']'.repeat(1e5)}`),
    /its algorithm is unknown/,
  ],
  ['a key of another kind', changed('ES256', 'RS256'), /its key is malformed/],
  ['no key', changed('"jwk"', '"kid"'), /its key is malformed/],
  ['a million lists in each other', deep(), /another document/],
  ['null for a signature', changed(/"signatures": .*/, '"signatures": [null]'), /malformed/],
];

/** Signed, but for a member that JSON.parse reads and JSON.stringify cannot write. */
function deep(): Buffer {
  const lists = `${'['.repeat(1e6)}${']'.repeat(1e6)}`;
  const text = `{"a": ${lists}`;
  const head = Buffer.from(JSON.stringify({ formatLength: text.length, formatTail: btoa('}') }));
  const signature = JSON.stringify([{ header: {}, signature: '', protected: head.toString('base64url') }]);
  return Buffer.from(`${text}, "signatures": ${signature}}`);
}

function withHead(head: object): Buffer {
  const text = Buffer.from(JSON.stringify(head)).toString('base64url');
  return changed(/"protected":"[^"]+"/, `"protected":"${text}"`);
}

for (const [what, bytes, reason] of refused) {
  test(`refuses ${what}`, () => assert.match(checkSchema1(bytes, []) ?? 'taken', reason));
}

test('refuses signatures of different documents', () => {
  const { signatures } = JSON.parse(signSchema1({ schemaVersion: 1 }, other).envelope.toString()) as {
    readonly signatures: readonly object[];
  };
  const mixed = changed('"signatures": [', `"signatures": [${JSON.stringify(signatures[0])},`);
  assert.match(checkSchema1(mixed, []) ?? 'taken', /different documents/);
});
