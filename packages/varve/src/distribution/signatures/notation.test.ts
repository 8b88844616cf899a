import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { decode, encode, Tagged } from 'cborg';
import fc from 'fast-check';
import { digestOf } from '../../oci/index.ts';
import {
  coseTime,
  type Identity,
  type NotationChanges,
  signNotationCose,
  signNotationJws,
  TestAuthorities,
} from '../testing/index.ts';
import { checkNotation } from './notation.ts';

const folder = mkdtempSync(join(tmpdir(), 'varve-notation-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authorities = new TestAuthorities(folder);
const authority = authorities.authority('ca');
const stranger = authorities.authority('otherca');
const signer = authorities.issue('ca', 'signer', 'codeSigning');
const server = authorities.issue('ca', 'server', 'serverAuth');

const subject = digestOf('the image');
const scheme = 'io.cncf.notary.signingScheme';
const expiry = 'io.cncf.notary.expiry';
const signingTime = 'io.cncf.notary.signingTime';

const derText = signer.certificate.raw.toString('base64');

/** The two forms of an envelope: how each is made, and what it calls things. */
const forms = {
  JWS: {
    type: 'application/jose+json',
    sign: signNotationJws,
    time: (at: Date): unknown => at.toISOString(),
    label: (name: 'alg' | 'crit' | 'cty') => name,
    foreign: 'ES384',
    parts: (envelope: Buffer): Readonly<Record<string, string | Uint8Array>> => {
      const {
        payload,
        protected: head,
        signature,
      } = JSON.parse(envelope.toString()) as Record<string, string>;
      return { payload: payload ?? '', head: head ?? '', signature: signature ?? '', certificate: derText };
    },
  },
  COSE: {
    type: 'application/cose',
    sign: signNotationCose,
    time: (at: Date): unknown => coseTime(at),
    label: (name: 'alg' | 'crit' | 'cty') => ({ alg: 1, crit: 2, cty: 3 })[name],
    foreign: -35,
    parts: (envelope: Buffer): Readonly<Record<string, string | Uint8Array>> => {
      const [head, , payload, signature] = (
        decode(envelope, { useMaps: true, tags: Tagged.preserve(1, 18) }) as Tagged
      ).value as readonly Uint8Array[];
      assert.ok(head && payload && signature);
      return { payload, head, signature, certificate: signer.certificate.raw };
    },
  },
} as const;

for (const [name, { type, sign, time, label, foreign, parts }] of Object.entries(forms)) {
  const reason = async (
    changes: NotationChanges = {},
    by: Identity = signer,
    trusted = authority,
  ): Promise<string> => {
    const envelope = sign(subject, by, [authority], changes);
    return (await checkNotation(type, envelope, subject, [trusted.certificate])) ?? 'trusted';
  };

  test(`takes a ${name} signature that leads to a trusted authority`, async () => {
    assert.equal(await reason(), 'trusted');
    const later = time(new Date(Date.now() + 60_000));
    const head = { [label('crit')]: [scheme, expiry], [expiry]: later };
    assert.equal(await reason({ head }), 'trusted');
    // User metadata and the like are signed with the rest and ask for nothing.
    assert.equal(await reason({ head: { 'com.example.build': 'x' } }), 'trusted');
  });

  for (const kind of ['P-384', 'P-521', 'RSA-2048', 'RSA-3072'] as const) {
    test(`takes a ${name} signature of a ${kind} key`, async () => {
      assert.equal(
        await reason({}, authorities.issue('ca', `${name}-${kind}`, 'codeSigning', kind)),
        'trusted',
      );
    });
  }

  const past = time(new Date(Date.now() - 5000));
  const refused: readonly (readonly [what: string, reason: () => Promise<string>, why: RegExp])[] = [
    ['of a stranger', () => reason({}, signer, stranger), /leads to no trusted authority/],
    ['of another image', () => reason({ digest: digestOf('x') }), /it is a signature of sha256:/],
    ['of a certificate for servers', () => reason({}, server), /not for signing code/],
    ['of an authority', () => reason({}, authority), /not for signing code/],
    [
      'that has expired',
      () => reason({ head: { [label('crit')]: [scheme, expiry], [expiry]: past } }),
      /it has expired/,
    ],
    [
      'whose expiry is no time',
      () => reason({ head: { [label('crit')]: [scheme, expiry], [expiry]: 'soon' } }),
      /it has expired/,
    ],
    ['whose expiry is not critical', () => reason({ head: { [expiry]: past } }), /critical fields/],
    [
      'with critical fields of others',
      () => reason({ head: { [label('crit')]: [scheme, 'x.unknown'], 'x.unknown': 1 } }),
      /critical fields that are not understood/,
    ],
    ['without critical fields', () => reason({ head: { [label('crit')]: undefined } }), /critical fields/],
    [
      'of another kind of content',
      () => reason({ head: { [label('cty')]: 'text/plain' } }),
      /signing scheme/,
    ],
    [
      'by another scheme',
      () => reason({ head: { [scheme]: 'notary.x509.signingAuthority' } }),
      /signing scheme/,
    ],
    ['without a time', () => reason({ head: { [signingTime]: undefined } }), /when it was made/],
    [
      'by an unknown algorithm',
      () => reason({ head: { [label('alg')]: 'none' } }),
      /its algorithm is "none"/,
    ],
    [
      'by an algorithm that is no name',
      () => reason({ head: { [label('alg')]: [] } }),
      /its algorithm is unknown/,
    ],
    ['by the algorithm of another key', () => reason({ head: { [label('alg')]: foreign } }), /its bytes/],
  ];
  for (const [what, given, why] of refused) {
    test(`refuses a ${name} signature ${what}`, async () => assert.match(await given(), why));
  }

  test(`refuses a ${name} envelope of which anything was changed`, async () => {
    const envelope = sign(subject, signer, [authority]);
    for (const [what, part] of Object.entries(parts(envelope))) {
      const start = envelope.indexOf(part);
      assert.ok(start > 0, what);
      // Not the last: base64 may end in bits that mean nothing.
      for (let at = start; at < start + part.length - 2; at += 5) {
        const changed = Buffer.from(envelope);
        changed.writeUInt8(changed.readUInt8(at) ^ 0x01, at);
        const verdict = await checkNotation(type, changed, subject, [authority.certificate]);
        assert.notEqual(verdict, undefined, `${what}, byte ${at - start}`);
      }
    }
  });
}

const good = signNotationCose(subject, signer, [authority]);
const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.from([0])]);
const sign1 = (...parts: readonly unknown[]): Buffer => Buffer.from(encode(new Tagged(18, parts)));
const bytes = Buffer.from('x');
const hostile: readonly (readonly [what: string, envelope: Buffer])[] = [
  ['nothing', Buffer.alloc(0)],
  ['no tag', good.subarray(1)],
  ['another tag', Buffer.concat([Buffer.from([0xd1]), good.subarray(1)])],
  ['bytes behind it', Buffer.concat([good, Buffer.from([0])])],
  ['half of it', good.subarray(0, good.length / 2)],
  [
    'a list of indefinite length',
    Buffer.concat([Buffer.from([0xd2, 0x9f]), good.subarray(2), Buffer.from([0xff])]),
  ],
  ['a million lists in each other', Buffer.concat([Buffer.from([0xd2]), nested(1_000_000)])],
  [
    'a million items',
    Buffer.concat([Buffer.from([0xd2, 0x9a, 0, 0x0f, 0x42, 0x40]), Buffer.alloc(1_000_000)]),
  ],
  ['a length beyond the end', Buffer.from([0xd2, 0x84, 0x5b, 0, 0, 0, 1, 0, 0, 0, 0])],
  ['a length beyond all numbers', Buffer.from([0xd2, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255])],
  ['three parts', sign1(bytes, new Map(), bytes)],
  ['no payload', sign1(encode(new Map()), new Map(), null, bytes)],
  ['a header that is no map', sign1(encode([]), new Map(), bytes, bytes)],
  ['a header in the clear', sign1(new Map(), new Map(), bytes, bytes)],
  ['a header twice', sign1(encode(new Map([[1, -7]])), new Map([[1, -7]]), bytes, bytes)],
  ['a key twice', sign1(Buffer.from([0xa2, 1, 0x26, 1, 0x26]), new Map(), bytes, bytes)],
  ['a header of indefinite length', sign1(Buffer.from([0xbf, 1, 0x26, 0xff]), new Map(), bytes, bytes)],
  ['a key that is a list', sign1(Buffer.from([0xa1, 0x80, 0x26]), new Map(), bytes, bytes)],
  ['unknown tags', sign1(Buffer.from([0xa1, 1, 0xc2, 0x41, 1]), new Map(), bytes, bytes)],
];
for (const [what, envelope] of hostile) {
  test(`refuses a COSE envelope with ${what}`, async () => {
    const verdict = await checkNotation('application/cose', envelope, subject, [authority.certificate]);
    assert.equal(verdict, 'its envelope is no COSE_Sign1');
  });
}

test('refuses COSE envelopes whose certificates are none', async () => {
  for (const chain of [undefined, [], [bytes], [[]], 'x', bytes]) {
    const rest = new Map(chain === undefined ? [] : [[33, chain]]);
    const verdict = await checkNotation(
      'application/cose',
      sign1(encode(new Map()), rest, bytes, bytes),
      subject,
      [authority.certificate],
    );
    assert.equal(verdict, 'it carries no certificates');
  }
});

test('says of whatever bytes that they are no signature, and throws nothing', async () => {
  const edit = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255), cut: fc.nat(20) });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      let envelope = Buffer.from(good);
      for (const { at, byte, cut } of edits) {
        const rest = envelope.subarray(at + (cut > 10 ? cut - 10 : 1));
        envelope = Buffer.concat([envelope.subarray(0, at), Buffer.from([byte]), rest]);
      }
      const verdict = await checkNotation('application/cose', envelope, digestOf('another'), [
        authority.certificate,
      ]);
      assert.equal(typeof verdict, 'string');
    }),
    { numRuns: 500 },
  );
});

test('refuses envelopes of types it does not know', async () => {
  const verdict = await checkNotation('application/x', good, subject, [authority.certificate]);
  assert.equal(verdict, 'envelopes of type "application/x" are not known');
});
