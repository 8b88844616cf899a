import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { parseListenAddress } from './listen.ts';
import { Query } from './query.ts';
import { referenceMatches } from './reference-pattern.ts';
import { registryAuth } from './registry-auth.ts';
import { RouteTable } from './route.ts';
import { frame } from './stdcopy.ts';
import { decodeChunked } from './upgrade-body.ts';
import { apiVersion, versionProblem } from './versions.ts';
import { portViews } from './views/container-summary.ts';
import { progressBar, TransferView } from './views/progress.ts';

const query = (text: string): Query => new Query(new URLSearchParams(text));

test('booleans: five words are false, all else is true', () => {
  for (const word of ['', '0', 'no', 'False', ' none '])
    assert.equal(query(`x=${word}`).flag('x', true), false);
  for (const word of ['1', 'true', 'garbage']) assert.equal(query(`x=${word}`).flag('x'), true);
  assert.equal(query('').flag('x', true), true);
});

test('filters in both forms; anything else is refused', () => {
  const both = ['{"label":{"a":true,"b":true,"c":false}}', '{"label":["a","b"]}'];
  for (const text of both) {
    assert.deepEqual({ ...query(`filters=${encodeURIComponent(text)}`).filters() }, { label: ['a', 'b'] });
  }
  for (const bad of ['garbage', '[]', '1', '{"a":1}', '{"a":[1]}']) {
    assert.throws(() => query(`filters=${encodeURIComponent(bad)}`).filters(), { message: 'invalid filter' });
  }
  assert.equal(Object.getPrototypeOf(query('filters={"__proto__":["x"]}').filters()), null);
});

test('numbers are whole or refused', () => {
  assert.equal(query('t=-1').integer('t'), -1);
  assert.equal(query('t=').integer('t'), undefined);
  assert.throws(() => query('t=1.5').integer('t'), { kind: 'invalid' });
});

test('registry credentials in either alphabet; what cannot be read is none', () => {
  const json = JSON.stringify({ username: 'a?>', password: 'ü~' });
  for (const encoding of ['base64', 'base64url'] as const) {
    assert.deepEqual(registryAuth(Buffer.from(json).toString(encoding)), { username: 'a?>', password: 'ü~' });
  }
  for (const none of ['', '{}', '!!!', 'e30=', 'bnVsbA==']) assert.equal(registryAuth(none), undefined);
});

test('routes: names with slashes, a trailing slash, versions', () => {
  const handle = (): void => undefined;
  const table = new RouteTable([
    { method: 'GET', path: '/images/json', handle },
    { method: 'GET', path: '/images/{name...}/json', handle },
    { method: 'GET', path: '/networks', handle },
    { method: 'GET', path: '/late', since: apiVersion('1.50'), handle },
  ]);
  assert.deepEqual(table.find('GET', '/images/h:5000/a%2Fb:1/json', 1051)?.parameters, {
    name: 'h:5000/a/b:1',
  });
  assert.deepEqual(table.find('GET', '/images/json', 1051)?.parameters, {});
  assert.ok(table.find('GET', '/networks/', 1051));
  assert.equal(table.find('POST', '/networks', 1051), undefined);
  assert.equal(table.find('GET', '/late', apiVersion('1.49')), undefined);
  assert.ok(table.find('GET', '/late', apiVersion('1.50')));
});

test('versions compare by number, not by text', () => {
  assert.ok(apiVersion('1.9') < apiVersion('1.24'));
  assert.equal(versionProblem('1.24'), undefined);
  assert.match(versionProblem('1.23') ?? '', /too old/);
  assert.match(versionProblem('1.52') ?? '', /too new/);
});

test('frames carry stream and length', () => {
  assert.deepEqual([...frame(2, Buffer.from('ab'))], [2, 0, 0, 0, 0, 0, 0, 2, 97, 98]);
});

test('detach keys are held back, and let through when they were not', () => {
  const scanner = new DetachScanner(parseDetachKeys(''));
  assert.deepEqual(scanner.scan(Buffer.from('a\u0010')), { pass: Buffer.from('a'), detached: false });
  assert.deepEqual(scanner.scan(Buffer.from('b')), { pass: Buffer.from('\u0010b'), detached: false });
  assert.deepEqual(scanner.scan(Buffer.from('\u0010\u0010')), {
    pass: Buffer.from('\u0010'),
    detached: false,
  });
  assert.equal(scanner.scan(Buffer.from('\u0011x')).detached, true);
  assert.deepEqual(parseDetachKeys('ctrl-a,x'), Buffer.from([1, 120]));
  assert.throws(() => parseDetachKeys('ctrl-1'), { kind: 'invalid' });
});

test('a chunked body is decoded when it is whole', () => {
  assert.equal(decodeChunked(Buffer.from('2\r\nab\r\n0\r\n')), undefined);
  const whole = decodeChunked(Buffer.from('2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\nrest'));
  assert.deepEqual([whole?.value.toString(), whole?.used], ['abc', 22]);
  assert.throws(() => decodeChunked(Buffer.from('zz\r\n')), { kind: 'invalid' });
});

test('addresses to listen on', () => {
  assert.deepEqual(parseListenAddress('unix:///run/x.sock'), { kind: 'unix', path: '/run/x.sock' });
  assert.deepEqual(parseListenAddress('tcp://127.0.0.1:0'), { kind: 'tcp', host: '127.0.0.1', port: 0 });
  assert.deepEqual(parseListenAddress('tcp://[::1]:99'), { kind: 'tcp', host: '::1', port: 99 });
  assert.deepEqual(parseListenAddress('fd://'), { kind: 'fd', fd: 3 });
  for (const bad of ['', 'unix://x', 'http://a', 'tcp://a:b'])
    assert.throws(() => parseListenAddress(bad), bad);
});

test('reference patterns: a star stops at a slash', () => {
  assert.ok(referenceMatches('busy*', 'busybox:latest'));
  assert.ok(referenceMatches('busybox', 'busybox:latest'));
  assert.ok(referenceMatches('*/*/app:1.?', 'host.test/team/app:1.0'));
  assert.ok(!referenceMatches('*', 'team/app:1'));
  assert.ok(!referenceMatches('b.sybox', 'busybox:latest'));
});

test('ports of a list: one entry for each host side, one for what is only exposed', () => {
  assert.deepEqual(portViews({ '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }], '53/udp': null }), [
    { IP: '0.0.0.0', PrivatePort: 80, Type: 'tcp', PublicPort: 8080 },
    { PrivatePort: 53, Type: 'udp' },
  ]);
});

test('progress lines of a pull', () => {
  const view = new TransferView('pull');
  const layer = (
    digest: string,
    state: 'waiting' | 'exists' | 'downloading' | 'complete',
    current?: number,
  ) =>
    view
      .lines({
        type: 'layer',
        digest: `sha256:${digest.repeat(64)}` as never,
        state,
        ...(current === undefined ? {} : { current, total: 10 }),
      })
      .map((line) => `${line.id?.[0]} ${line.status}${line.progress ?? ''}`);
  assert.deepEqual(layer('a', 'waiting'), []);
  assert.deepEqual(layer('b', 'waiting'), []);
  assert.deepEqual(layer('a', 'exists'), ['a Already exists']);
  assert.deepEqual(layer('c', 'waiting'), []);
  assert.deepEqual(layer('b', 'downloading', 5), [
    'b Pulling fs layer',
    'c Pulling fs layer',
    'c Waiting',
    `b Downloading${progressBar(5, 10)}`,
  ]);
  assert.deepEqual(layer('b', 'complete'), ['b Pull complete']);
});
