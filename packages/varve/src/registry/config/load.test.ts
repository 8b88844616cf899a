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

test('reads distribution’s block for schema 1, also from the environment', () => {
  const text = 'compatibility:\n  schema1:\n    signingkeyfile: /k.json\n    enabled: true\n';
  assert.equal(checkConfig(text).config?.compatibility.schema1.enabled, true);
  assert.deepEqual(problems(text), [
    'warning 3:5: compatibility.schema1.signingkeyfile: has no effect: manifests are served with the signatures they were pushed with',
  ]);
  const { config } = checkConfig('', { REGISTRY_COMPATIBILITY_SCHEMA1_ENABLED: 'true' });
  assert.equal(config?.compatibility.schema1.enabled, true);
  assert.equal(checkConfig('').config?.compatibility.schema1.enabled, false);
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

test('refuses to start open when authentication was asked for in words it does not know', () => {
  for (const [text, problem] of [
    ['auth:\n  silly:\n    realm: x\n', 'error 2:3: auth.silly: it lets everyone in'],
    ['auth:\n  htpaswd:\n    path: /etc/htpasswd\n', 'error 2:3: auth.htpaswd: unknown key'],
    ['auth: {}\n', 'error 1:1: auth: names no way to authenticate and no rules'],
    ['auth:\n  htpasswd:\n    path: /p\n    relm: x\n', 'error 4:5: auth.htpasswd.relm: unknown key'],
    [
      'http:\n  tls:\n    certificate: c\n    key: k\n    clientca: [x]\n',
      'error 5:5: http.tls.clientca: unknown key',
    ],
  ] as const) {
    assert.equal(problems(text)[0], problem);
    assert.throws(() => loadConfig(text), { code: 'CONFIG_INVALID' });
  }
});

test('reads the auth block of a distribution configuration', () => {
  const { config, problems: found } = checkConfig(
    `auth:
  token:
    autoredirect: true
    realm: https://auth.example.com/token
    service: registry.example.com
    issuer: auth.example.com
    rootcertbundle: /root/certs/bundle
    jwks: /path/to/jwks
    signingalgorithms: [EdDSA, ES256]
  htpasswd:
    realm: basic-realm
    path: /path/to/htpasswd
`,
  );
  assert.deepEqual(found, []);
  assert.deepEqual(config?.auth?.token?.signingalgorithms, ['EdDSA', 'ES256']);
  assert.equal(config?.auth?.htpasswd?.path, '/path/to/htpasswd');
});

test('warns of what is right and will not do what it looks like', () => {
  const rules = '  rules:\n    - {who: [anonymous], repositories: ["**"], actions: [pull]}\n';
  const warned = problems(`http: {addr: :5000}\nauth:\n  htpasswd: {path: /p}\n${rules}`);
  assert.deepEqual(
    warned.map((line) => line.split(': ', 2).join(': ')),
    ['warning 3:3: auth.htpasswd', 'warning 4:3: auth.rules'],
  );
  assert.deepEqual(problems(`auth:\n  htpasswd: {path: /p}\n  tokenserver: {}\n${rules}`), []);
});

test('says where in a list a rule is wrong', () => {
  const text = `auth:
  rules:
    - who: [anonymous]
      repositories: ['public/**']
      actions: [pull]
    - who: [alice]
      repositories: ['**']
      actions: [pull, write]
`;
  assert.deepEqual(problems(text), [
    'error 6:13: auth.rules.1.who.0: not everyone, anonymous, authenticated, user:…, group:…, robot:… or workload:…',
    'error 8:23: auth.rules.1.actions.1: not pull, push, delete or *',
  ]);
});

test('refuses algorithms that sign with the verifier’s key, and settings that let everyone in', () => {
  const token = 'auth:\n  token: {realm: "https://a/t", service: s, issuer: i';
  assert.match(
    problems(`${token}, jwks: /k, signingalgorithms: [HS256]}\n`)[0] ?? '',
    /signingalgorithms\.0: not an algorithm with a public key/,
  );
  assert.match(problems(`${token}}\n`)[0] ?? '', /auth\.token: needs keys/);
  const oidc = 'auth:\n  oidc:\n    - {issuer: "https://i", audience: a, people: {}}\n';
  assert.match(problems(oidc)[0] ?? '', /auth\.oidc: needs rules/);
  const workload = oidc.replace('people: {}', 'workloads: [{when: {}, groups: [ci]}]');
  assert.match(problems(`${workload}  rules: []\n`)[0] ?? '', /it would mean everyone/);
});

test('refuses a storage it would not use', () => {
  assert.match(problems('storage:\n  inmemory: {}\n')[0] ?? '', /^error 2:3: storage.inmemory/);
});

test('takes one storage, with the keys of distribution', () => {
  const one = checkConfig('storage:\n  s3: {bucket: b, region: eu-1, v4auth: true}\n');
  assert.equal(one.config?.storage.s3?.region, 'eu-1');
  assert.match(problems('storage:\n  s3: {region: eu-1}\n')[0] ?? '', /^error 2:3: storage.s3.bucket/);
  const two = 'storage:\n  s3: {bucket: b}\n  gcs: {bucket: b}\n';
  assert.deepEqual(problems(two), [
    'error 3:3: storage.gcs: there is another storage already: one is possible',
  ]);
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
