import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where Debian's user-mode-linux keeps its modules. */
const modulesRoot = '/usr/lib/uml/modules';

const programs: Readonly<Record<string, string>> = {
  'linux.uml': 'user-mode-linux',
  gcc: 'gcc, libc6-dev',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  busybox: 'busybox-static',
};

/** Why no guest can be started here; undefined when it can. */
export function whyNoGuest(): string | undefined {
  if (process.arch !== 'x64') return `Debian has no user-mode-linux for ${process.arch}`;
  if (process.geteuid?.() !== 0) return 'binding the host into the guest needs root';
  for (const [program, packages] of Object.entries(programs)) {
    if (!findInPath(program)) return `${program} is missing (Debian: ${packages})`;
  }
  return undefined;
}

function findInPath(program: string): boolean {
  return ['/usr/bin', '/bin', '/usr/sbin', '/sbin'].some((folder) => existsSync(join(folder, program)));
}

/**
 * Paths of modules with those they need, in the order to load them. modules.dep(5)
 * @param names without `.ko`, as files are named.
 */
export function moduleOrder(names: readonly string[]): string[] {
  const [release = ''] = readdirSync(modulesRoot);
  const folder = join(modulesRoot, release);
  const needs = new Map<string, string[]>();
  for (const line of readFileSync(join(folder, 'modules.dep'), 'utf8').split('\n')) {
    const [path, rest = ''] = line.split(':');
    if (path) needs.set(path, rest.split(' ').filter(Boolean));
  }
  const order: string[] = [];
  for (const name of names) {
    const path = [...needs.keys()].find((module) => module.endsWith(`/${name}.ko`));
    if (path === undefined) throw new Error(`the guest's kernel has no module ${name}`);
    // A module's needs are listed with the deepest last.
    for (const part of [...(needs.get(path) ?? []).toReversed(), path]) {
      const file = join(folder, part);
      if (!order.includes(file)) order.push(file);
    }
  }
  return order;
}

/** Compiles the library that is preloaded into the guest's kernel; ptrace-shim.c says what for. */
export function compileShim(folder: string): string {
  const library = join(folder, 'ptrace-shim.so');
  const source = join(import.meta.dirname, 'ptrace-shim.c');
  execFileSync('gcc', ['-O2', '-Wall', '-shared', '-fPIC', '-o', library, source]);
  return library;
}
