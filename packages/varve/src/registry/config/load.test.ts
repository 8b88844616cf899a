import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkConfig, formatProblem, loadConfig } from './index.ts';

function problems(text: string, environment?: Record<string, string>): string[] {
  return checkConfig(text, environment).problems.map(
    (problem) => `${problem.severity} ${formatProblem(problem)}`,
  );
}

test('needs no configuration', () => {
  const { config, problems } = checkConfig('');
  assert.deepEqual(problems, []);
  assert.equal(config?.http.addr, '127.0.0.1:5000');
  assert.equal(config?.storage.filesystem.rootdirectory, '/var/lib/varve/registry');
  assert.equal(config?.storage.delete.enabled, false);
});

test('reads the keys of a distribution configuration', () => {
  const { config, problems } = checkConfig(`
version: 0.1
log:
  level: debug
storage:
  filesystem:
    rootdirectory: /srv/registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Test: [yes, "no"]
`);
  assert.deepEqual(problems, []);
  assert.equal(config?.storage.filesystem.rootdirectory, '/srv/registry');
  assert.equal(config?.storage.delete.enabled, true);
  assert.deepEqual(config?.http.headers, { 'X-Test': ['yes', 'no'] });
});

test('names unknown keys with their place and goes on', () => {
  const text = 'http:\n  addr: :5000\n  colour: red\nextra: 1\n';
  assert.deepEqual(problems(text), [
    'warning 3:3: http.colour: unknown key, ignored',
    'warning 4:1: extra: unknown key, ignored',
  ]);
  assert.equal(checkConfig(text).config?.http.addr, ':5000');
});

test('says where a value is wrong', () => {
  assert.deepEqual(problems('http:\n  addr: nowhere\n'), [
    'error 2:3: http.addr: not an address such as 127.0.0.1:5000 or :5000',
  ]);
  assert.deepEqual(
    problems('storage:\n  delete:\n    enabled: maybe\n').map((line) => line.slice(0, 40)),
    ['error 3:5: storage.delete.enabled: Inval'],
  );
});

test('says where the YAML is broken', () => {
  const [first] = checkConfig('http:\n\taddr: x\n').problems;
  assert.equal(first?.severity, 'error');
  assert.equal(first?.line, 2);
});

test('refuses to start open when authentication was asked for', () => {
  const text = 'auth:\n  htpasswd:\n    path: /etc/htpasswd\n';
  assert.deepEqual(problems(text), [
    'error 1:1: auth: authentication is not supported yet: the registry would be open',
  ]);
  assert.throws(() => loadConfig(text), { code: 'CONFIG_INVALID' });
});

test('refuses a storage it would not use', () => {
  assert.match(problems('storage:\n  inmemory: {}\n')[0] ?? '', /^error 2:3: storage.inmemory/);
});

test('takes one storage, with the keys of distribution', () => {
  const one = checkConfig('storage:\n  s3: {bucket: b, region: eu-1, v4auth: true}\n');
  assert.equal(one.config?.storage.s3?.region, 'eu-1');
  assert.match(problems('storage:\n  s3: {region: eu-1}\n')[0] ?? '', /^error 2:3: storage.s3.bucket/);
  const two = 'storage:\n  s3: {bucket: b}\n  gcs: {bucket: b}\n';
  assert.deepEqual(problems(two), ['error 3:3: storage.gcs: there is another storage already: one is possible']);
});

test('says which keys have nothing to do', () => {
  assert.match(
    problems('storage:\n  cache:\n    blobdescriptor: inmemory\n')[0] ?? '',
    /^warning 2:3: storage.cache: has no effect/,
  );
});

test('lets the environment win over the file', () => {
  const environment = {
    REGISTRY_HTTP_ADDR: '127.0.0.1:7000',
    REGISTRY_STORAGE_DELETE_ENABLED: 'true',
    REGISTRY_AUTH_FILE: '/run/containers/auth.json',
    OTHER: 'x',
  };
  const { config, problems } = checkConfig('http:\n  addr: :5000\n', environment);
  assert.deepEqual(problems, []);
  assert.equal(config?.http.addr, '127.0.0.1:7000');
  assert.equal(config?.storage.delete.enabled, true);
});

test('names the variable that is wrong', () => {
  assert.match(problems('', { REGISTRY_HTTP_ADDR: 'x' })[0] ?? '', /^error REGISTRY_HTTP_ADDR: http.addr: /);
  assert.deepEqual(problems('', { REGISTRY_HTTP_SHAPE: 'x' }), [
    'warning REGISTRY_HTTP_SHAPE: http.shape: unknown key, ignored',
  ]);
});

test('takes no harm from hostile keys and aliases', () => {
  assert.equal(checkConfig('__proto__: {polluted: 1}\n', { REGISTRY___PROTO___X: '1' }).problems.length, 1);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'.replace(/./g, (key) => {
    const before = String.fromCharCode(key.charCodeAt(0) - 1);
    return `${key}: &${key} [${`*${before},`.repeat(9)}]\n`;
  })}`;
  assert.equal(checkConfig(bomb).config, undefined);
});
