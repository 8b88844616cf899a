/** Runs the test files and closes with `N passed, N failed, N skipped`. Arguments pick files by parts of their path. */
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = resolve(import.meta.dirname, '..');
const picked = process.argv.slice(2);
const files = globSync(
  ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'scripts/**/*.test.ts'],
  { cwd: root },
)
  .filter((file) => picked.length === 0 || picked.some((part) => file.includes(part)))
  .sort()
  .map((file) => resolve(root, file));
if (files.length === 0) {
  console.error(`no test file matches ${picked.join(' ')}`);
  process.exit(1);
}

let passed = 0;
let failed = 0;
let skipped = 0;
const skips: string[] = [];
const stream = run({ files, concurrency: 2, cwd: root, timeout: 15 * 60_000, forceExit: true });
stream.on('test:pass', (event) => {
  if (event.details.type === 'suite') return;
  if (event.skip === undefined) passed++;
  else {
    skipped++;
    skips.push(`${event.name}: ${String(event.skip === true ? 'no reason given' : event.skip)}`);
  }
});
stream.on('test:fail', (event) => {
  if (event.details.type !== 'suite') failed++;
});
stream.compose(spec()).pipe(process.stdout, { end: false });
stream.on('close', finish);
stream.on('end', finish);

let finished = false;
function finish(): void {
  if (finished) return;
  finished = true;
  setImmediate(() => {
    for (const skip of skips) console.log(`skipped ${skip}`);
    console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
    process.exit(failed === 0 && passed > 0 ? 0 : 1);
  });
}
