import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createError, execError, exitCodeOf, runtimeReason } from './errors.ts';

test('takes the reason out of what the runtimes log', () => {
  assert.equal(
    runtimeReason('time="2026-01-01T00:00:00Z" level=error msg="exec \\"x\\": bad"\n'),
    'exec "x": bad',
  );
  assert.equal(runtimeReason('2026-01-01T00:00:00.000000Z: cannot do it\n'), 'cannot do it');
  assert.equal(runtimeReason('warning: x\nrunc create failed: y\n'), 'runc create failed: y');
  assert.equal(runtimeReason(''), '');
});

test('says of crun’s missing programs what runc says', () => {
  assert.equal(
    runtimeReason('executable file `/nope` not found in $PATH: No such file or directory'),
    'unable to start container process: exec: "/nope": stat /nope: no such file or directory',
  );
  assert.equal(
    runtimeReason('executable file `nope` not found in $PATH: No such file or directory'),
    'unable to start container process: exec: "nope": executable file not found in $PATH',
  );
});

test('maps reasons to the exit codes of a shell', () => {
  const cases: readonly [string, number][] = [
    ['exec: "x": executable file not found in $PATH', 127],
    ['exec: "/x": stat /x: no such file or directory', 127],
    ['exec: "/x": permission denied', 126],
    ['exec: "/etc": is a directory', 126],
    ['mount /a:/b: not a directory', 127],
    ['error during container init: out of luck', 128],
  ];
  for (const [reason, code] of cases) assert.equal(exitCodeOf(reason), code, reason);
});

test('explains a folder mounted on a file', () => {
  const error = createError('id', 'error mounting "/a" to rootfs at "/b": mount: not a directory');
  assert.match(error.message, /Are you trying to mount a directory onto a file \(or vice-versa\)\?/);
  assert.equal(error.kind, 'invalid');
  assert.equal(execError('id', 'strange').kind, 'internal');
});
