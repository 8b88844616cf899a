import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { engineCall } from '../support/engine-http.ts';
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
    'storage',
    'disk',
    'engine',
  ])
    assert.ok(titles.includes(title), title);
  for (const finding of findings) {
    assert.notEqual(finding.detail, '', finding.title);
    assert.equal(finding.status === 'pass', finding.fix === undefined, finding.title);
  }
  assert.match(findings.find(({ title }) => title === 'engine')?.detail ?? '', /driver \w+/);
  const storage = findings.find(({ title }) => title === 'storage')?.detail ?? '';
  assert.match(storage, /^[^;]*overlay2/);
  assert.match(storage, /; btrfs: .* is on \w+, the btrfs driver needs btrfs/);
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

test('varve system check finds a damaged blob, and --repair sets it aside and makes it anew', async () => {
  const whole = await pair.varve(['system', 'check']);
  assert.match(whole.stdout, /^\d+ blobs \(.*\), 1 images, 1 snapshots, 0 containers\nall as recorded\n$/);
  assert.equal(whole.code, 0);
  const root = join(pair.engine.folder, 'root');
  const folder = join(root, 'content/sha256');
  const manifest = readdirSync(folder).find((name) =>
    /"layers":/.test(readFileSync(join(folder, name), 'latin1')),
  );
  assert.ok(manifest);
  writeFileSync(join(folder, manifest), 'damaged');
  const damaged = await pair.varve(['system', 'check', '--json']);
  assert.equal(damaged.code, 1);
  const { problems } = JSON.parse(damaged.stdout) as { problems: { kind: string; subject: string }[] };
  assert.deepEqual(
    problems.map(({ kind, subject }) => `${kind} ${subject}`),
    [`blob-corrupt sha256:${manifest}`],
  );
  const repaired = await pair.varve(['system', 'check', '--repair']);
  assert.match(repaired.stdout, /blob-corrupt .* was written again\s*\nall is repaired\n$/);
  assert.equal(repaired.code, 0);
  assert.equal((await pair.varve(['system', 'check'])).code, 0);
  const [kept = ''] = readdirSync(join(root, 'quarantine'));
  assert.equal(readFileSync(join(root, 'quarantine', kept, `sha256-${manifest}`), 'utf8'), 'damaged');
});

test('how far a check is can be followed', async () => {
  const path = '/varve/system/check?progress=1';
  const { body } = await engineCall(pair.engine.socket, 'POST', path, Buffer.alloc(0));
  const lines = body
    .trim()
    .split('\r\n')
    .map(
      (line) =>
        JSON.parse(line) as { progress?: { step: string; total: number }; report?: { blobs: number } },
    );
  const last = lines.pop();
  assert.ok((last?.report?.blobs ?? 0) > 0);
  assert.ok(lines.length > 0);
  for (const { progress } of lines) assert.match(progress?.step ?? '', /^(blobs|layers|records)$/);
});

test('what cannot be repaired is said, with what to do', async () => {
  const folder = join(pair.engine.folder, 'root/content/sha256');
  const config = (await pair.ok('image', 'inspect', '-f', '{{.Id}}', 'busybox')).slice('sha256:'.length);
  const bytes = readFileSync(join(folder, config));
  writeFileSync(join(folder, config), 'damaged');
  const { code, stdout } = await pair.varve(['system', 'check', '--repair']);
  assert.equal(code, 1);
  assert.match(stdout, /busybox:latest was made here and is in no registry/);
  assert.match(stdout, /\d left:\n/);
  assert.match(stdout, /pull or load the image again/);
  writeFileSync(join(folder, config), bytes);
});
