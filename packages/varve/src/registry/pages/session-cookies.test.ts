import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { AccessRequest, SessionHolder } from '../auth/index.ts';
import { safeNext } from './login-page.ts';
import { SessionCookies } from './session-cookies.ts';

const holder: SessionHolder = { kind: 'user', name: 'alice', groups: [], via: 'htpasswd', fingerprint: 'f' };

function request(headers: AccessRequest['headers'] = {}, encrypted = false): AccessRequest {
  return { headers, remote: '127.0.0.1', encrypted };
}

function sent(setCookie: string): AccessRequest {
  return request({ cookie: `other=1; ${setCookie.split(';', 1)[0]}` });
}

test('knows who a session belongs to until it ends', () => {
  let now = 1000;
  const cookies = new SessionCookies(randomBytes(32), 5000, () => now);
  const cookie = cookies.open(holder, request());
  assert.match(cookie, /; Max-Age=5; HttpOnly; SameSite=Strict$/);
  assert.deepEqual(cookies.read(sent(cookie))?.holder, holder);
  now = 6000;
  assert.equal(cookies.read(sent(cookie)), undefined);
});

test('believes no cookie that it did not sign', () => {
  const cookies = new SessionCookies(randomBytes(32), 5000);
  const cookie = cookies.open(holder, request());
  const [body = '', signature = ''] = (cookie.split(';', 1)[0] ?? '')
    .slice('varve-session='.length)
    .split('.');
  const forged = Buffer.from(
    JSON.stringify({ id: 'x', holder: { ...holder, name: 'root' }, expiresAt: 9e15 }),
  );
  const other = new SessionCookies(randomBytes(32), 5000).open(holder, request());
  for (const value of [
    `${forged.toString('base64url')}.${signature}`,
    `${body}.`,
    body,
    '.',
    '',
    `${body}.${'é'.repeat(43)}`,
  ]) {
    assert.equal(cookies.read(request({ cookie: `varve-session=${value}` })), undefined, value);
  }
  assert.equal(cookies.read(sent(other)), undefined);
  // Nor a form's token in place of a session.
  assert.equal(cookies.read(request({ cookie: `varve-session=${cookies.formToken('a', 'b')}` })), undefined);
});

test('under TLS a cookie is Secure, and one that was set without it does not count', () => {
  const cookies = new SessionCookies(randomBytes(32), 5000);
  const secure = cookies.open(holder, request({}, true));
  assert.match(secure, /^__Host-varve-session=.*; Path=\/; .*; Secure$/);
  const plain = cookies.open(holder, request());
  const cookie = plain.split(';', 1)[0] ?? '';
  assert.equal(cookies.read(request({ cookie }, true)), undefined);
});

test('a logout takes the cookie away', () => {
  const cookies = new SessionCookies(randomBytes(32), 5000);
  const asking = sent(cookies.open(holder, request()));
  assert.match(cookies.close(asking), /^varve-session=; .*Max-Age=0/);
});

test('a form’s token is good for one client, one action and an hour', () => {
  let now = 0;
  const cookies = new SessionCookies(randomBytes(32), 5000, () => now);
  const token = cookies.formToken('s alice', '/ui/r/a/tags/v1');
  assert.equal(cookies.checkFormToken(token, 's alice', '/ui/r/a/tags/v1'), true);
  assert.equal(cookies.checkFormToken(token, 's bob', '/ui/r/a/tags/v1'), false);
  assert.equal(cookies.checkFormToken(token, 's alice', '/ui/r/a/tags/v2'), false);
  assert.equal(cookies.checkFormToken(`9${token}`, 's alice', '/ui/r/a/tags/v1'), false);
  assert.equal(cookies.checkFormToken('', 's alice', '/ui/r/a/tags/v1'), false);
  now = 3600_000;
  assert.equal(cookies.checkFormToken(token, 's alice', '/ui/r/a/tags/v1'), false);
});

test('a login leads to our own pages only', () => {
  assert.equal(safeNext('/ui/r/a/tags/v1?confirm=delete'), '/ui/r/a/tags/v1?confirm=delete');
  for (const next of [
    null,
    '',
    '//evil.example/ui/',
    'https://evil.example/',
    '/ui/\\evil',
    '/ui/\r\nX: y',
    '/v2/',
  ]) {
    assert.equal(safeNext(next), '/ui/');
  }
});
