import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { type CgroupLayout, cgroupFolder, cgroupProcesses, readCgroupFile } from '../linux/index.ts';

/** Numbers of a flat control file, `name value` a line. */
export function parseFlat(text: string | undefined): Record<string, number> {
  const out: Record<string, number> = {};
  for (const line of (text ?? '').split('\n')) {
    const [name, value] = line.split(' ');
    if (name !== undefined && value !== undefined && /^\d+$/.test(value)) out[name] = Number(value);
  }
  return out;
}

function number(text: string | undefined): number | undefined {
  const trimmed = text?.trim();
  if (trimmed === undefined || trimmed === '' || trimmed === 'max') return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : undefined;
}

// proc(5): times in /proc/stat are in USER_HZ, which is 100 on every Linux that Docker runs on.
const NANOSECONDS_PER_TICK = 1e7;

/** Processor time of the whole machine in nanoseconds, without steal and guest (moby daemon/stats getSystemCPUUsage). */
export function parseSystemCpu(stat: string): { readonly usage: number; readonly online: number } {
  const [total = '', ...rest] = stat.split('\n').filter((line) => line.startsWith('cpu'));
  const ticks = total
    .trim()
    .split(/\s+/)
    .slice(1, 8)
    .reduce((sum, value) => sum + Number(value), 0);
  return { usage: ticks * NANOSECONDS_PER_TICK, online: rest.length };
}

function systemCpu(): { readonly usage: number; readonly online: number } {
  return parseSystemCpu(readFileSync('/proc/stat', 'utf8'));
}

function cpuStats(layout: CgroupLayout, path: string): Record<string, unknown> {
  const system = systemCpu();
  const online = system.online || cpus().length;
  if (layout.version === 2) {
    const stat = parseFlat(readCgroupFile(join(cgroupFolder(layout, path, '') ?? '', 'cpu.stat')));
    const nanos = (name: string): number => (stat[name] ?? 0) * 1000;
    return {
      cpu_usage: {
        total_usage: nanos('usage_usec'),
        usage_in_kernelmode: nanos('system_usec'),
        usage_in_usermode: nanos('user_usec'),
      },
      system_cpu_usage: system.usage,
      online_cpus: online,
      throttling_data: {
        periods: stat['nr_periods'] ?? 0,
        throttled_periods: stat['nr_throttled'] ?? 0,
        throttled_time: nanos('throttled_usec'),
      },
    };
  }
  const accounting = cgroupFolder(layout, path, 'cpuacct') ?? '';
  const read = (name: string): string | undefined => readCgroupFile(join(accounting, name));
  const ticks = parseFlat(read('cpuacct.stat'));
  const throttling = parseFlat(readCgroupFile(join(cgroupFolder(layout, path, 'cpu') ?? '', 'cpu.stat')));
  return {
    cpu_usage: {
      total_usage: number(read('cpuacct.usage')) ?? 0,
      percpu_usage: (read('cpuacct.usage_percpu') ?? '')
        .trim()
        .split(' ')
        .filter((value) => value !== '')
        .map(Number),
      usage_in_kernelmode: (ticks['system'] ?? 0) * NANOSECONDS_PER_TICK,
      usage_in_usermode: (ticks['user'] ?? 0) * NANOSECONDS_PER_TICK,
    },
    system_cpu_usage: system.usage,
    online_cpus: online,
    throttling_data: {
      periods: throttling['nr_periods'] ?? 0,
      throttled_periods: throttling['nr_throttled'] ?? 0,
      throttled_time: throttling['throttled_time'] ?? 0,
    },
  };
}

function memoryStats(layout: CgroupLayout, path: string): Record<string, unknown> {
  const folder = cgroupFolder(layout, path, 'memory') ?? '';
  const read = (name: string): string | undefined => readCgroupFile(join(folder, name));
  const stats = parseFlat(read('memory.stat'));
  // An unlimited v1 group says a number near 2^63; Docker then shows the machine's memory.
  const limit = (text: string | undefined): number =>
    Math.min(number(text) ?? Number.POSITIVE_INFINITY, totalmem());
  if (layout.version === 2) {
    return { usage: number(read('memory.current')) ?? 0, stats, limit: limit(read('memory.max')) };
  }
  return {
    usage: number(read('memory.usage_in_bytes')) ?? 0,
    max_usage: number(read('memory.max_usage_in_bytes')) ?? 0,
    stats,
    failcnt: number(read('memory.failcnt')) ?? 0,
    limit: limit(read('memory.limit_in_bytes')),
  };
}

interface BlkioEntry {
  readonly major: number;
  readonly minor: number;
  readonly op: string;
  readonly value: number;
}

/** Lines such as `254:0 Read 4096` (cgroup v1 blkio). */
export function parseBlkio(text: string | undefined): readonly BlkioEntry[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line);
    if (!match) return [];
    const [, major, minor, op = '', value] = match;
    return [{ major: Number(major), minor: Number(minor), op: op.toLowerCase(), value: Number(value) }];
  });
}

/** Lines such as `254:0 rbytes=1 wbytes=2 rios=3 …` (cgroup v2 io.stat). */
export function parseIoStat(text: string | undefined): readonly BlkioEntry[] {
  return (text ?? '').split('\n').flatMap((line) => {
    const match = /^(\d+):(\d+) (.*)$/.exec(line);
    if (!match) return [];
    const [, major, minor, rest = ''] = match;
    const values = new Map(rest.split(' ').map((pair) => pair.split('=') as [string, string]));
    return (['rbytes', 'wbytes'] as const).flatMap((name): BlkioEntry[] => {
      const value = values.get(name);
      const op = name === 'rbytes' ? 'read' : 'write';
      return value === undefined
        ? []
        : [{ major: Number(major), minor: Number(minor), op, value: Number(value) }];
    });
  });
}

function blkioStats(layout: CgroupLayout, path: string): Record<string, unknown> {
  const folder = cgroupFolder(layout, path, 'blkio') ?? '';
  const bytes =
    layout.version === 2
      ? parseIoStat(readCgroupFile(join(folder, 'io.stat')))
      : parseBlkio(readCgroupFile(join(folder, 'blkio.throttle.io_service_bytes_recursive')));
  const operations =
    layout.version === 2
      ? []
      : parseBlkio(readCgroupFile(join(folder, 'blkio.throttle.io_serviced_recursive')));
  return {
    io_service_bytes_recursive: bytes.length === 0 ? null : bytes,
    io_serviced_recursive: operations.length === 0 ? null : operations,
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  };
}

/** Counters of each interface but loopback, from /proc/<pid>/net/dev (proc(5)). */
export function parseNetDev(text: string): Record<string, Record<string, number>> {
  const out: Record<string, Record<string, number>> = {};
  for (const line of text.split('\n').slice(2)) {
    const separator = line.indexOf(':');
    const name = line.slice(0, separator).trim();
    if (separator < 0 || name === 'lo') continue;
    const values = line
      .slice(separator + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    const [rxBytes = 0, rxPackets = 0, rxErrors = 0, rxDropped = 0] = values;
    const [txBytes = 0, txPackets = 0, txErrors = 0, txDropped = 0] = values.slice(8);
    out[name] = {
      rx_bytes: rxBytes,
      rx_packets: rxPackets,
      rx_errors: rxErrors,
      rx_dropped: rxDropped,
      tx_bytes: txBytes,
      tx_packets: txPackets,
      tx_errors: txErrors,
      tx_dropped: txDropped,
    };
  }
  return out;
}

function networks(pid: number): Record<string, Record<string, number>> | undefined {
  try {
    const found = parseNetDev(readFileSync(`/proc/${pid}/net/dev`, 'latin1'));
    return Object.keys(found).length === 0 ? undefined : found;
  } catch {
    return undefined;
  }
}

/**
 * One sample of a container's use of the machine, in the shape of Docker's `GET /containers/{id}/stats` without
 * `precpu_stats` and `preread`, which compare two samples.
 * @param ownNetwork false when it shares the host's interfaces: Docker gives no `networks` then.
 */
export function sampleStats(
  layout: CgroupLayout,
  options: {
    readonly id: string;
    readonly name: string;
    readonly cgroupPath: string;
    readonly ownNetwork: boolean;
  },
): Readonly<Record<string, unknown>> {
  const { id, name, cgroupPath, ownNetwork } = options;
  const folder = cgroupFolder(layout, cgroupPath, 'pids') ?? '';
  const current = number(readCgroupFile(join(folder, 'pids.current')));
  const limit = number(readCgroupFile(join(folder, 'pids.max')));
  const [first] = cgroupProcesses(layout, cgroupPath);
  const interfaces = ownNetwork && first !== undefined ? networks(first) : undefined;
  return {
    id,
    name,
    read: new Date().toISOString().replace('Z', '000000Z'),
    num_procs: 0,
    pids_stats: { ...(current === undefined ? {} : { current }), ...(limit === undefined ? {} : { limit }) },
    cpu_stats: cpuStats(layout, cgroupPath),
    memory_stats: memoryStats(layout, cgroupPath),
    blkio_stats: blkioStats(layout, cgroupPath),
    storage_stats: {},
    ...(interfaces === undefined ? {} : { networks: interfaces }),
  };
}
