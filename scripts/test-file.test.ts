import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { type FileResult, runFile } from './test-file.ts';

const folder = mkdtempSync('/var/tmp/varve-runner-');
after(() => rmSync(folder, { recursive: true }));

/** Runs a test file with this text; `test`, `describe`, `before` and `after` are imported. */
async function outcome(
  text: string,
  limits: { readonly testMs?: number; readonly fileMs?: number } = {},
): Promise<FileResult & { readonly failed: readonly string[] }> {
  const file = join(folder, 'example.test.ts');
  writeFileSync(file, `import { test, describe, before, after } from 'node:test';\n${text}`);
  const result = await runFile(folder, file, limits);
  return { ...result, failed: result.failures.map(({ name }) => name) };
}

test('counts what passes, fails and is skipped, and keeps the reasons', async () => {
  const result = await outcome(`
    test('good', () => {});
    describe('suite', () => { test('inner', () => {}); test('bad', () => { throw new Error('reason'); }); });
    test('left out', { skip: 'no such kernel' }, () => {});`);
  assert.equal(result.passed, 2);
  assert.deepEqual(result.failed, ['bad']);
  assert.match(result.failures[0]?.error ?? '', /Error: reason/);
  assert.deepEqual(
    result.skips.map(({ name, reason }) => [name, reason]),
    [['left out', 'no such kernel']],
  );
});

test('counts a hook that fails', async () => {
  assert.equal((await outcome(`after(() => { throw 1 }); test('good', () => {});`)).failed.length, 1);
  const suite = await outcome(
    `describe('s', () => { before(() => { throw 1 }); test('never', () => {}); });`,
  );
  assert.ok(suite.failed.includes('never') && suite.passed === 0, suite.failed.join());
});

for (const [what, text, error] of [
  ['cannot be loaded', `import './missing.ts';`, /ended with code 1 before its tests were done/],
  [
    'ends half way with success',
    `test('a', () => process.exit(0)); test('b', () => {});`,
    /before its tests/,
  ],
  ['is killed', `test('a', () => process.kill(process.pid, 'SIGKILL'));`, /ended by SIGKILL/],
  ['has no tests', '', /ended with code 0 before its tests were done/],
] as const) {
  test(`a file that ${what} fails`, async () => {
    const { failures, passed } = await outcome(text);
    assert.deepEqual([failures.length, passed], [1, 0]);
    assert.match(failures[0]?.error ?? '', error);
  });
}

test('a test that waits for ever is cut, and the rest runs', async () => {
  const forever = `test('stuck', () => new Promise(() => setInterval(() => {}, 1000))); test('b', () => {});`;
  const { failed, passed } = await outcome(forever, { testMs: 500 });
  assert.deepEqual([failed, passed], [['stuck'], 1]);
});

test('a file in an endless loop is cut and named', async () => {
  const { failures, ms } = await outcome(`test('loop', () => { for (;;); });`, { fileMs: 1500 });
  assert.match(failures[0]?.error ?? '', /^cut after/);
  assert.ok(ms < 60_000);
});

test('tells and ends processes that a file leaves running', async () => {
  const { processes, passed } = await outcome(`
    import { spawn } from 'node:child_process';
    test('leaves one', () => { spawn('sleep', ['4711'], { stdio: 'ignore' }).unref(); });`);
  assert.equal(passed, 1);
  assert.deepEqual(processes, ['sleep 4711 ']);
});
