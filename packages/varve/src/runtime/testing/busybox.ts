import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomId } from '../../base/index.ts';
import { findProgram, readCgroupLayout, removeCgroup, run } from '../../linux/index.ts';
import { ConmonRuntime, type ConmonRuntimeOptions } from '../conmon-runtime.ts';
import type { AttachedStreams, ContainerSpec } from '../types.ts';

/** A root file system with a static busybox and nothing else, for tests with real containers. */
async function makeBusyboxRootfs(folder: string): Promise<void> {
  for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'root', 'run', 'sbin', 'var', 'home']) {
    mkdirSync(join(folder, name), { recursive: true });
  }
  const program = join(folder, 'bin/busybox');
  copyFileSync(findProgram('busybox'), program);
  const { stdout } = await run(program, ['--list']);
  for (const applet of stdout.toString().trim().split('\n')) {
    if (applet !== 'busybox') linkSync(program, join(folder, 'bin', applet));
  }
  writeFileSync(
    join(folder, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home:/bin/sh\n',
  );
  writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nann:x:1000:\nwheel:x:10:ann\naudio:x:29:\n');
}

/** A runtime in folders of its own, with a busybox root; disposing deletes every container and all folders. */
export interface TestRuntime extends AsyncDisposable {
  readonly runtime: ConmonRuntime;
  readonly folder: string;
  readonly rootfs: string;
  readonly options: ConmonRuntimeOptions;
}

export async function makeTestRuntime(settings: Partial<ConmonRuntimeOptions> = {}): Promise<TestRuntime> {
  const folder = mkdtempSync('/var/tmp/varve-rt-');
  const rootfs = join(folder, 'rootfs');
  await makeBusyboxRootfs(rootfs);
  const options = {
    stateRoot: join(folder, 'run'),
    logRoot: join(folder, 'log'),
    cgroupParent: `/varve-rt-${folder.slice(-6)}`,
    ...settings,
  };
  const runtime = new ConmonRuntime(options);
  return {
    runtime,
    folder,
    rootfs,
    options,
    async [Symbol.asyncDispose]() {
      for (const id of await runtime.list()) await runtime.delete(id);
      await runtime.close();
      const layout = readCgroupLayout();
      // The last conmon may need a moment to leave.
      for (let attempt = 0; attempt < 100 && !removeCgroup(layout, options.cgroupParent); attempt++) {
        await new Promise((resolve) => {
          setTimeout(resolve, 20);
        });
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A spec like the engine's for `docker run busybox …`, with changes. */
export function busyboxSpec(
  rootfs: string,
  args: readonly string[],
  changes: Partial<ContainerSpec> = {},
): ContainerSpec {
  const id = randomId();
  return {
    id,
    name: '',
    rootfs,
    readOnlyRootfs: false,
    args,
    env: [],
    workingDir: '',
    user: '',
    groups: [],
    tty: false,
    openStdin: false,
    stdinOnce: false,
    hostname: id.slice(0, 12),
    mounts: [],
    resources: {},
    privileged: false,
    capAdd: [],
    capDrop: [],
    securityOpt: [],
    devices: [],
    sysctls: {},
    ulimits: [],
    shmSize: 64 * 1024 * 1024,
    init: false,
    oomScoreAdj: 0,
    namespaces: {},
    ...changes,
  };
}

/** Reads streams to their end. */
export async function collectOutput(
  streams: AttachedStreams,
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  const parts: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  for await (const { stream, data } of streams.output) parts[stream].push(data);
  return { stdout: Buffer.concat(parts[1]).toString(), stderr: Buffer.concat(parts[2]).toString() };
}

/** Polls until a condition gives something; for tests. */
export async function until<T>(what: string, look: () => T | undefined | false, seconds = 20): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
}
