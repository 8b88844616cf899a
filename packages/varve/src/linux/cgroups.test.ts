import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cgroupFolder,
  cgroupProcesses,
  joinCgroup,
  parseCgroupMounts,
  readCgroupLayout,
  removeCgroup,
} from './cgroups.ts';
import { findProgram, spawn } from './process.ts';

const line = (point: string, type: string, options: string): string =>
  `30 23 0:26 / ${point} rw,relatime shared:9 - ${type} ${type} ${options}`;

test('reads a pure version 2 layout', () => {
  const layout = parseCgroupMounts(line('/sys/fs/cgroup', 'cgroup2', 'rw,nsdelegate'));
  assert.equal(layout.version, 2);
  assert.equal(layout.unified, '/sys/fs/cgroup');
});

test('reads version 1 with joined and named hierarchies', () => {
  const layout = parseCgroupMounts(
    [
      line('/sys/fs/cgroup/cpu,cpuacct', 'cgroup', 'rw,cpu,cpuacct'),
      line('/sys/fs/cgroup/systemd', 'cgroup', 'rw,xattr,name=systemd'),
      line('/sys/fs/cgroup/unified', 'cgroup2', 'rw'),
    ].join('\n'),
  );
  assert.equal(layout.version, 1);
  assert.deepEqual(
    [...layout.controllers],
    [
      ['cpu', '/sys/fs/cgroup/cpu,cpuacct'],
      ['cpuacct', '/sys/fs/cgroup/cpu,cpuacct'],
      ['name=systemd', '/sys/fs/cgroup/systemd'],
    ],
  );
  assert.equal(layout.unified, '/sys/fs/cgroup/unified');
});

test('moves a process into a group, lists it and removes the group', async () => {
  const layout = readCgroupLayout();
  const path = `/varve-test-${process.pid}/inner`;
  const child = spawn(findProgram('busybox'), ['sleep', '600']);
  try {
    joinCgroup(layout, path, child.pid);
    assert.deepEqual(cgroupProcesses(layout, path), [child.pid]);
    assert.deepEqual(cgroupProcesses(layout, `/varve-test-${process.pid}`), [child.pid]);
    assert.equal(removeCgroup(layout, path), false);
  } finally {
    child.kill(9);
    await child.exited;
  }
  assert.equal(removeCgroup(layout, `/varve-test-${process.pid}`), true);
  assert.deepEqual(cgroupProcesses(layout, path), []);
  assert.ok(cgroupFolder(layout, path, 'memory')?.endsWith(path));
});
