import { readFileSync } from 'node:fs';
import { arch, availableParallelism, release, totalmem } from 'node:os';
import type { Container } from './container.ts';
import type { EngineCore } from './core.ts';

/** What `docker info` tells about the engine and its host. */
export interface SystemInfo {
  readonly id: string;
  readonly name: string;
  readonly root: string;
  readonly containers: {
    readonly total: number;
    readonly running: number;
    readonly paused: number;
    readonly stopped: number;
  };
  readonly images: number;
  readonly driver: { readonly name: string; readonly status: readonly (readonly [string, string])[] };
  readonly runtime: { readonly name: string; readonly version: string };
  readonly kernel: string;
  readonly operatingSystem: string;
  readonly architecture: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroupVersion: 1 | 2;
  readonly eventListeners: number;
}

const machines: Readonly<Record<string, string>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
  arm: 'armv7l',
  ia32: 'i686',
};

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** `Debian GNU/Linux 12 (bookworm)`, from os-release(5). */
function operatingSystem(): string {
  return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readText('/etc/os-release'))?.[1] ?? 'linux';
}

/** Version 2 has its file of controllers at the root of the tree (cgroups(7)). */
function cgroupVersion(): 1 | 2 {
  return readText('/sys/fs/cgroup/cgroup.controllers') === '' ? 1 : 2;
}

export async function systemInfo(core: EngineCore): Promise<SystemInfo> {
  const containers = core.containers.list();
  const count = (test: (container: Container) => boolean): number => containers.filter(test).length;
  return {
    id: core.id,
    name: core.config.hostName,
    root: core.root,
    containers: {
      total: containers.length,
      running: count(({ state }) => state.status === 'running'),
      paused: count(({ state }) => state.status === 'paused'),
      stopped: count((container) => !container.running),
    },
    images: core.images.list().length,
    driver: { name: core.driver.name, status: core.driver.status() },
    runtime: { name: core.runtime.name, version: await core.runtime.version() },
    kernel: release(),
    operatingSystem: operatingSystem(),
    architecture: machines[arch()] ?? arch(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    cgroupVersion: cgroupVersion(),
    eventListeners: core.events.subscribers,
  };
}

export { type DiskUsage, diskUsage } from './disk-usage.ts';

async function usageOf(
  core: EngineCore,
  container: Container,
): Promise<{ readonly container: Container; readonly bytes: number }> {
  const usage = await core.driver.usage(container.id).catch(() => ({ contentBytes: 0 }));
  return { container, bytes: usage.contentBytes };
}

/** Bytes a container has written, and those with its image's. */
export async function containerSize(
  core: EngineCore,
  container: Container,
): Promise<{ readonly writableBytes: number; readonly rootBytes: number }> {
  const { bytes } = await usageOf(core, container);
  const image = core.images.get(container.record.imageId);
  return { writableBytes: bytes, rootBytes: bytes + (image?.size ?? 0) };
}
