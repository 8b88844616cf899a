import { endianness } from 'node:os';
import { VarveError } from '../base/index.ts';
import type { Descriptor, Platform } from './types.ts';

const architectureAliases: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  i386: ['386'],
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

const systems = new Set(
  'aix android darwin dragonfly freebsd hurd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows'.split(
    ' ',
  ),
);
const architectures = new Set(
  '386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm'.split(' '),
);

/** A platform without the parts that say nothing: the form in which two are compared (containerd `Normalize`). */
function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === 'macos' ? 'darwin' : platform.os.toLowerCase();
  const written = platform.architecture.toLowerCase();
  const [architecture, implied] = architectureAliases[written] ?? [written];
  let variant = implied ?? platform.variant?.toLowerCase() ?? '';
  if (architecture === 'arm') variant = variant === '' ? 'v7' : variant.replace(/^(?=\d)/, 'v');
  if (architecture === 'arm64' && (variant === '8' || variant === 'v8')) variant = '';
  if (architecture === 'amd64' && variant === 'v1') variant = '';
  const { variant: _dropped, ...rest } = platform;
  return { ...rest, os, architecture, ...(variant === '' ? {} : { variant }) };
}

/** `linux/arm/v7`: the parts joined, empty ones left out. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant ?? ''].filter((part) => part !== '').join('/');
}

/** The platform this process runs on. */
export function hostPlatform(): Platform {
  const names: Readonly<Record<string, string>> = {
    x64: 'amd64',
    ia32: '386',
    ppc64: endianness() === 'LE' ? 'ppc64le' : 'ppc64',
    mipsel: 'mipsle',
  };
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  return normalizePlatform({ os, architecture: names[process.arch] ?? process.arch });
}

/**
 * Reads `os`, `arch`, `os/arch` or `os/arch/variant` (containerd `platforms.Parse`); what is not said is the host's.
 * @throws VarveError `invalid`, code `PLATFORM_INVALID`.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/');
  const bad = (why: string): VarveError =>
    new VarveError('invalid', 'PLATFORM_INVALID', `"${text.slice(0, 100)}": ${why}: invalid argument`, {
      subject: text.slice(0, 100),
      hint: 'write it as os[/architecture[/variant]], for example linux/arm64',
    });
  if (text.includes('*')) throw bad('wildcards not yet supported');
  if (parts.length > 3) throw bad('cannot parse platform specifier');
  const wrong = parts.find((part) => !/^[A-Za-z0-9_.-]{1,64}$/.test(part));
  if (wrong !== undefined) throw bad(`"${wrong.slice(0, 64)}" is an invalid component`);
  const [first = '', architecture, variant] = parts;
  if (architecture !== undefined) {
    return normalizePlatform({ os: first, architecture, ...(variant === undefined ? {} : { variant }) });
  }
  const asSystem = normalizePlatform({ ...hostPlatform(), os: first });
  if (systems.has(asSystem.os)) return asSystem;
  const asArchitecture = normalizePlatform({ os: hostPlatform().os, architecture: first });
  if (architectures.has(asArchitecture.architecture)) return asArchitecture;
  throw bad('unknown operating system or architecture');
}

function steps(architecture: string, highest: number, lowest: number): [string, string][] {
  const result: [string, string][] = [];
  for (let level = highest; level >= lowest; level--) result.push([architecture, `v${level}`]);
  return result;
}

/** What a processor runs, best first, as [architecture, variant] (containerd `platformVector`). */
function compatible(platform: Platform): readonly (readonly [string, string])[] {
  const { architecture, variant = '' } = platform;
  const level = Number(/^v(\d+)/.exec(variant)?.[1] ?? 0);
  if (architecture === 'amd64') return [...steps('amd64', Math.min(level, 9), 2), ['amd64', ''], ['386', '']];
  if (architecture === 'arm') return steps('arm', Math.min(level, 9), 5);
  if (architecture === 'arm64') {
    const own: [string, string][] = variant === '' ? [] : [['arm64', variant]];
    return [...own, ['arm64', ''], ...steps('arm', 8, 5)];
  }
  return [[architecture, variant]];
}

/** How good `offered` is for `wanted`: 0 is best; undefined when it cannot run there. */
function rank(wanted: Platform, offered: Platform, strict: boolean): number | undefined {
  const want = normalizePlatform(wanted);
  const offer = normalizePlatform(offered);
  if (want.os !== offer.os) return undefined;
  if (want['os.version'] !== undefined && offer['os.version'] !== want['os.version']) return undefined;
  const features = want['os.features'];
  if (features && !(offer['os.features'] ?? []).every((feature) => features.includes(feature)))
    return undefined;
  const vector = strict ? [[want.architecture, want.variant ?? ''] as const] : compatible(want);
  const place = vector.findIndex(
    ([architecture, variant]) => architecture === offer.architecture && variant === (offer.variant ?? ''),
  );
  return place === -1 ? undefined : place;
}

/** True when an image of platform `offered` runs on `wanted`; `strict` allows no older variant (containerd `OnlyStrict`). */
export function matchesPlatform(
  wanted: Platform,
  offered: Platform,
  options: { readonly strict?: boolean } = {},
): boolean {
  return rank(wanted, offered, options.strict ?? false) !== undefined;
}

/**
 * The descriptor of an index that suits `wanted` best: nearest variant first, the index's order among equals.
 * One that names no platform is taken only when nothing else fits. undefined when there is none.
 */
export function choosePlatform(
  descriptors: readonly Descriptor[],
  wanted: Platform,
  options: { readonly strict?: boolean } = {},
): Descriptor | undefined {
  let best: Descriptor | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (const descriptor of descriptors) {
    const place = descriptor.platform
      ? rank(wanted, descriptor.platform, options.strict ?? false)
      : Number.MAX_SAFE_INTEGER;
    if (place !== undefined && place < bestRank) {
      best = descriptor;
      bestRank = place;
    }
  }
  return best;
}
