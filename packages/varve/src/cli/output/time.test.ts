import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { goTime, goTimeOf, rfc3339 } from './time.ts';

const zone = process.env['TZ'];
afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

test('prints moments as Go does, in the local time zone', () => {
  process.env['TZ'] = 'UTC';
  assert.equal(goTime(new Date(1_795_295_475_000)), '2026-11-21 21:11:15 +0000 UTC');
  assert.equal(goTimeOf('2026-11-21T21:11:15.174000000Z'), '2026-11-21 21:11:15.174 +0000 UTC');
  assert.equal(goTimeOf(''), '');
  assert.equal(rfc3339(1_795_295_475), '2026-11-21T21:11:15Z');
  process.env['TZ'] = 'Europe/Berlin';
  assert.equal(goTime(new Date(1_795_295_475_000)), '2026-11-21 22:11:15 +0100 CET');
  assert.equal(rfc3339(1_795_295_475), '2026-11-21T22:11:15+01:00');
});
