import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type Bundle, bundle } from './bundle.ts';
import { Pair } from './pair.ts';

let built: Bundle;
let pair: Pair;

before(async () => {
  built = bundle();
  pair = await Pair.start(built.entry);
});

after(async () => {
  await pair?.[Symbol.asyncDispose]();
  built?.[Symbol.dispose]();
});

test('varve doctor names every check, its finding and what to do', async () => {
  const { code, stdout, stderr } = await pair.varve(['doctor', '--json', '--data-root', pair.engine.folder]);
  assert.equal(stderr, '');
  const findings = JSON.parse(stdout) as { title: string; status: string; detail: string; fix?: string }[];
  const titles = findings.map(({ title }) => title);
  for (const title of [
    'root',
    'kernel',
    'overlayfs',
    'openat2',
    'cgroups',
    'conmon',
    'runc',
    'disk',
    'engine',
  ])
    assert.ok(titles.includes(title), title);
  for (const finding of findings) {
    assert.notEqual(finding.detail, '', finding.title);
    assert.equal(finding.status === 'pass', finding.fix === undefined, finding.title);
  }
  assert.match(findings.find(({ title }) => title === 'engine')?.detail ?? '', /driver \w+/);
  assert.equal(code, findings.some(({ status }) => status === 'fail') ? 1 : 0);
  const table = await pair.varve(['doctor']);
  assert.match(table.stdout, /^STATUS +CHECK +FOUND +TO DO\nok +root +yes\n/);
});

test('varve doctor says where no engine is, and starts none', async () => {
  const { stdout } = await pair.varve(['-H', 'unix:///nowhere/v.sock', 'doctor', '--json']);
  const findings = JSON.parse(stdout) as { title: string; status: string; fix?: string }[];
  for (const title of ['socket', 'engine'])
    assert.equal(findings.find((finding) => finding.title === title)?.status, 'warn', title);
});

test('varve system check finds a damaged blob and sets it aside', async () => {
  const whole = await pair.varve(['system', 'check']);
  assert.match(whole.stdout, /^\d+ blobs \(.*\), 1 images, 1 snapshots, 0 containers\nall as recorded\n$/);
  assert.equal(whole.code, 0);
  const folder = join(pair.engine.folder, 'root/content/sha256');
  const [smallest = ''] = readdirSync(folder).sort(
    (a, b) => statSync(join(folder, a)).size - statSync(join(folder, b)).size,
  );
  writeFileSync(join(folder, smallest), 'damaged');
  const damaged = await pair.varve(['system', 'check', '--json']);
  assert.equal(damaged.code, 1);
  const { problems } = JSON.parse(damaged.stdout) as { problems: { subject: string; part: string }[] };
  assert.deepEqual(
    problems.map(({ part, subject }) => `${part} ${subject}`),
    [`blob sha256:${smallest}`],
  );
  assert.equal((await pair.varve(['system', 'check', '--repair'])).code, 1);
  const after_ = await pair.varve(['system', 'check', '--json']);
  const left = JSON.parse(after_.stdout) as { problems: { part: string }[] };
  assert.ok(
    left.problems.every(({ part }) => part !== 'blob'),
    after_.stdout,
  );
});
