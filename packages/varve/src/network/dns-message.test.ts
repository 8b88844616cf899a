import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { parseQuestion, recordType, respond, responseCode, reverseAddress } from './dns-message.ts';

interface Packet {
  readonly id: number;
  readonly type: string;
  readonly flags?: number;
  readonly questions: readonly { readonly type: string; readonly name: string }[];
  readonly answers?: readonly { readonly data: unknown }[];
}

/** Another implementation of the format; it has no types of its own. */
const packet: { encode(packet: Packet): Buffer; decode(bytes: Buffer): Packet; RECURSION_DESIRED: number } =
  createRequire(import.meta.url)('dns-packet');

const ask = (name: string, type: 'A' | 'AAAA' | 'PTR' = 'A'): Buffer =>
  packet.encode({ type: 'query', id: 7, flags: packet.RECURSION_DESIRED, questions: [{ type, name }] });

test('reads a question in lower case', () => {
  const question = parseQuestion(ask('Web.Front'));
  assert.equal(question?.name, 'web.front');
  assert.equal(question?.type, recordType.a);
  assert.equal(question?.id, 7);
});

test('writes answers that another implementation reads', () => {
  const query = ask('web');
  const question = parseQuestion(query);
  assert.ok(question);
  const reply = packet.decode(
    respond(query, question, responseCode.ok, [
      { type: 'a', address: '10.0.0.2' },
      { type: 'a', address: '10.0.0.3' },
    ]),
  );
  assert.equal(reply.id, 7);
  assert.deepEqual(
    reply.answers?.map(({ data }) => data),
    ['10.0.0.2', '10.0.0.3'],
  );
  const pointer = ask('2.0.0.10.in-addr.arpa', 'PTR');
  const asked = parseQuestion(pointer);
  assert.ok(asked);
  const named = packet.decode(respond(pointer, asked, responseCode.ok, [{ type: 'ptr', name: 'web.front' }]));
  assert.deepEqual(
    named.answers?.map(({ data }) => data),
    ['web.front'],
  );
});

test('ignores what is not one plain question: answers, loops of pointers, cut and random bytes', () => {
  const query = ask('web.front');
  assert.equal(parseQuestion(packet.encode({ type: 'response', id: 1, questions: [] })), undefined);
  const loop = Buffer.from(query);
  loop[12] = 0xc0;
  loop[13] = 12;
  assert.equal(parseQuestion(loop), undefined);
  for (let length = 0; length < query.length; length++) {
    assert.equal(parseQuestion(query.subarray(0, length)), undefined);
  }
  for (let round = 0; round < 2000; round++) parseQuestion(randomBytes(round % 90));
});

test('turns reverse names into addresses', () => {
  assert.equal(reverseAddress('2.0.17.172.in-addr.arpa'), '172.17.0.2');
  assert.equal(reverseAddress('x.in-addr.arpa'), undefined);
});
