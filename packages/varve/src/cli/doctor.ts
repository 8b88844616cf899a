import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Engine } from '@varve/client';
import { formatBytes } from '../base/index.ts';
import {
  closeFd,
  findProgram,
  mount,
  openat2,
  openFlags,
  readCgroupLayout,
  resolveFlags,
  run,
  unmount,
} from '../linux/index.ts';
import type { StorageDriver } from '../storage/index.ts';

/** What a check found. */
export interface Finding {
  readonly title: string;
  readonly status: 'pass' | 'warn' | 'fail';
  readonly detail: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** What the checks look at. */
export interface DoctorOptions {
  readonly dataRoot: string;
  readonly host: string;
  readonly drivers: readonly StorageDriver[];
  /** Connects without starting an engine. */
  readonly engine: () => Promise<Engine>;
}

type Outcome = Omit<Finding, 'title'>;
const pass = (detail: string): Outcome => ({ status: 'pass', detail });
const warn = (detail: string, fix: string): Outcome => ({ status: 'warn', detail, fix });
const fail = (detail: string, fix: string): Outcome => ({ status: 'fail', detail, fix });

/** One thing that the engine needs, or that makes it better. */
interface Check {
  readonly title: string;
  readonly run: (options: DoctorOptions) => Outcome | Promise<Outcome>;
}

/** Mounts an overlay in a folder of its own. */
function overlayfs(): Outcome {
  const folder = mkdtempSync(join(tmpdir(), 'varve-doctor-'));
  try {
    mount('tmpfs', folder, 'tmpfs');
    try {
      const [lower, upper, work, target] = ['lower', 'upper', 'work', 'target'].map((name) => {
        const path = join(folder, name);
        mkdirSync(path);
        return path;
      });
      writeFileSync(join(lower as string, 'file'), 'below');
      mount('overlay', target as string, 'overlay', 0, `lowerdir=${lower},upperdir=${upper},workdir=${work}`);
      const seen = readFileSync(join(target as string, 'file'), 'utf8');
      unmount(target as string);
      return seen === 'below' ? pass('an overlay mounts') : fail('an overlay shows wrong data', 'report it');
    } finally {
      unmount(folder, { detach: true });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function safePaths(): Outcome {
  const fd = openat2(-100, '/', openFlags.path, 0, resolveFlags.inRoot);
  if (fd < 0)
    return fail('openat2(2) is refused', 'use Linux 5.6 or newer, and no seccomp filter that hides it');
  closeFd(fd);
  return pass('openat2(2) resolves inside a root');
}

function cgroups(): Outcome {
  if (readCgroupLayout().version !== 2)
    return warn('version 1', 'boot with systemd.unified_cgroup_hierarchy=1 for limits that hold together');
  const found = readFileSync('/sys/fs/cgroup/cgroup.controllers', 'utf8').trim().split(' ');
  const missing = ['cpu', 'cpuset', 'io', 'memory', 'pids'].filter((name) => !found.includes(name));
  return missing.length === 0
    ? pass(`version 2: ${found.join(' ')}`)
    : warn(`version 2, without ${missing.join(', ')}`, 'enable the controllers in the parent group');
}

/** A program and its version. */
function program(name: string, flag: string, fix: string, needed: boolean): Check {
  return {
    title: name,
    run: async () => {
      let path: string;
      try {
        path = findProgram(name);
      } catch {
        return needed ? fail('not found', fix) : warn('not found', fix);
      }
      const { stdout, stderr } = await run(path, [flag], { limit: 1 << 16 });
      const version = /\d+\.\d[\w.-]*/.exec(stdout.toString() || stderr.toString())?.[0];
      return pass(version === undefined ? path : `${version} (${path})`);
    },
  };
}

function freeSpace({ dataRoot }: DoctorOptions): Outcome {
  let folder = dataRoot;
  for (;;) {
    try {
      const { bavail, bsize, files, ffree } = statfsSync(folder);
      const free = bavail * bsize;
      const text = `${formatBytes(free)} free under ${dataRoot}`;
      if (files > 0 && ffree < 10_000) return warn(`${text}, but ${ffree} inodes`, 'varve system prune -a');
      if (free < 1e9) return fail(text, 'varve system prune -a, or another --data-root');
      return free < 5e9 ? warn(text, 'varve system prune -a') : pass(text);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || folder === '/') throw error;
      folder = dirname(folder);
    }
  }
}

function socket({ host }: DoctorOptions): Outcome {
  if (!host.startsWith('unix://')) return pass(host);
  const path = host.slice('unix://'.length);
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return pass(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      return warn(`${path} is not there`, 'varve engine; or any command as root starts one');
    return fail(`${path}: ${code ?? 'unreachable'}`, 'be root, or a member of the socket\u2019s group');
  }
}

async function engineAnswers({ engine }: DoctorOptions): Promise<Outcome> {
  const info = await (await engine()).info({ signal: AbortSignal.timeout(5000) });
  const read = (name: string): string => String(info[name]);
  return pass(`${read('ServerVersion')}, driver ${read('Driver')}, ${read('Containers')} containers`);
}

/** Which storage drivers can run here; of the others, why not. */
async function storage({ drivers }: DoctorOptions): Promise<Outcome> {
  const can: string[] = [];
  const cannot: string[] = [];
  for (const driver of drivers) {
    const probe = await driver.probe();
    if (probe.ok) can.push(driver.name);
    else cannot.push(`${driver.name}: ${probe.reason}`);
  }
  const detail = [can.join(', ') || 'none', ...cannot].join('; ');
  return can.length > 0 ? pass(detail) : fail(detail, 'use a kernel with overlayfs');
}

const install = (name: string): string => `apt-get install ${name}`;

/** In the order in which an engine needs them. */
const checks: readonly Check[] = [
  {
    title: 'root',
    run: () =>
      process.getuid?.() === 0 ? pass('yes') : fail('no', 'the engine mounts and makes namespaces: use sudo'),
  },
  {
    title: 'kernel',
    run: () => {
      const [major = 0, minor = 0] = release().split('.').map(Number);
      const has = (wantedMajor: number, wantedMinor: number): boolean =>
        major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
      if (!has(5, 10)) return fail(release(), 'use Linux 5.10 or newer');
      return has(6, 12) ? pass(release()) : pass(`${release()}; 6.12 mounts layers without unpacking them`);
    },
  },
  { title: 'overlayfs', run: overlayfs },
  { title: 'openat2', run: safePaths },
  { title: 'cgroups', run: cgroups },
  program('conmon', '--version', install('conmon'), true),
  program('runc', '--version', install('runc'), true),
  program('crun', '--version', install('crun'), false),
  program('nft', '--version', install('nftables'), true),
  program('ip', '-V', install('iproute2'), true),
  program('tini', '--version', install('tini'), false),
  {
    title: 'ip_forward',
    run: () =>
      readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim() === '1'
        ? pass('on')
        : warn('off', 'the engine turns it on; sysctl net.ipv4.ip_forward=1 keeps it'),
  },
  { title: 'storage', run: storage },
  { title: 'disk', run: freeSpace },
  {
    title: 'clock',
    run: () =>
      new Date().getUTCFullYear() >= 2025
        ? pass(new Date().toISOString())
        : fail(new Date().toISOString(), 'set the clock: certificates and tokens have dates'),
  },
  { title: 'socket', run: socket },
  { title: 'engine', run: engineAnswers },
];

/** Runs every check; one that throws has failed with what it threw. */
export async function examine(options: DoctorOptions): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { title, run: look } of checks) {
    try {
      findings.push({ title, ...(await look(options)) });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      // No engine is no fault of the machine.
      findings.push({
        title,
        ...(title === 'engine' ? warn(detail, 'varve engine') : fail(detail, 'see the detail')),
      });
    }
  }
  return findings;
}
