/**
 * Runs the test files, each in a process of its own, and closes with `N passed, N failed, N skipped`.
 * Without arguments the checks of types, format and lint come first and count as one test. Arguments pick files by parts
 * of their path; then each test's name is printed.
 *
 * Not node:test's own run(): a file that calls process.exit(0) half way passes there, and one in an endless loop is
 * never cut.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { found, leftSince } from './test-leftovers.ts';
import { type FileResult, runFile, stopAll } from './test-file.ts';

const root = resolve(import.meta.dirname, '..');
const picked = process.argv.slice(2);
const concurrency = 2;
const slowestShown = 10;
/** Files that get a second try. */
const secondTries = 4;

// End to end first: those files take longest, and the last ones should be short.
const files = globSync(
  ['packages/*/test/**/*.test.ts', 'packages/*/src/**/*.test.ts', 'scripts/**/*.test.ts'],
  { cwd: root },
)
  .filter((file) => picked.length === 0 || picked.some((part) => file.includes(part)))
  .sort((a, b) => Number(b.includes('/test/')) - Number(a.includes('/test/')) || (a < b ? -1 : 1));
if (files.length === 0) {
  console.error(`no test file matches ${picked.join(' ')}`);
  process.exit(1);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopAll();
    process.exit(130);
  });
}

// What the checks find does not keep the tests from running.
let checksPass: boolean | undefined;
if (picked.length === 0) {
  checksPass = spawnSync(resolve(root, 'scripts/check'), { stdio: 'inherit' }).status === 0;
  console.log(`${checksPass ? '✔' : '✖'} scripts/check`);
}

const before = found();
const results: FileResult[] = [];
const queue = [...files];
async function work(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const result = await runFile(root, file);
    results.push(result);
    print(result);
  }
}
await Promise.all(Array.from({ length: concurrency }, work));
await tryAgain();
close();

/**
 * Runs a few failed files once more, alone on the machine: what fails only beside others shows as a note, not as a
 * failure. More than a few failed files are no accident and stay failed.
 */
async function tryAgain(): Promise<void> {
  const failed = results.filter(({ failures }) => failures.length > 0);
  if (picked.length > 0 || failed.length > secondTries) return;
  for (const first of failed) {
    const second = await runFile(root, first.file);
    print(second);
    if (second.failures.length > 0) continue;
    results[results.indexOf(first)] = second;
    for (const { name } of first.failures)
      console.log(`note: passed on the second try only: ${first.file}: ${name}`);
  }
}

function print({ file, passed, skips, failures, output, ms, names }: FileResult): void {
  const counts = `${passed} passed${skips.length > 0 ? `, ${skips.length} skipped` : ''}`;
  const mark = failures.length === 0 ? '✔' : '✖';
  const failed = failures.length > 0 ? `, ${failures.length} failed` : '';
  console.log(`${mark} ${file} (${counts}${failed}, ${(ms / 1000).toFixed(1)} s)`);
  if (picked.length > 0) for (const name of names) console.log(`  ${name}`);
  if (failures.length === 0) return;
  for (const { name, error } of failures) console.log(indent(`✖ ${name}\n${indent(error)}`));
  if (output !== '') console.log(indent(`what the file printed:\n${indent(output)}`));
}

function close(): void {
  const bySlowness = [...results].sort((a, b) => b.ms - a.ms).slice(0, slowestShown);
  console.log('\nslowest files:');
  for (const { file, ms } of bySlowness) console.log(`  ${(ms / 1000).toFixed(1)} s  ${file}`);
  for (const { file, processes } of results)
    if (processes.length > 0) console.log(`note: ${file} left processes running: ${processes.join('; ')}`);
  for (const thing of leftSince(before))
    console.log(`note: left behind, unless others test here too: ${thing}`);
  for (const { file, skips } of results)
    for (const { name, reason } of skips) console.log(`skipped ${file}: ${name}: ${reason}`);
  const failures = results.flatMap(({ file, failures: own }) => own.map(({ name }) => `${file}: ${name}`));
  if (checksPass === false) failures.push('scripts/check: types, format and lint');
  for (const failure of failures) console.log(`failed ${failure}`);
  const passed = results.reduce((sum, result) => sum + result.passed, checksPass === true ? 1 : 0);
  const skipped = results.reduce((sum, { skips }) => sum + skips.length, 0);
  console.log(`${passed} passed, ${failures.length} failed, ${skipped} skipped`);
  process.exit(failures.length === 0 && passed > 0 ? 0 : 1);
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^(?=.)/gm, '    ');
}
