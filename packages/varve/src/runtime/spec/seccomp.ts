import { arch as processor, release } from 'node:os';
import { z } from 'zod';
import { VarveError } from '../../base/index.ts';
import { kernelHasX32 } from '../../linux/index.ts';
import type { OciSeccomp, OciSeccompRule } from './oci-spec.ts';
import { defaultSeccompEntries, type SeccompEntry, seccompArchitectures } from './seccomp-default.ts';

const filter = z.object({
  caps: z.array(z.string()).nullish(),
  arches: z.array(z.string()).nullish(),
  minKernel: z.string().nullish(),
});

/** A profile file of `--security-opt seccomp=`: Docker's own format, which is a superset of the OCI one (moby profiles/seccomp). */
const profileShape = z.object({
  defaultAction: z.string(),
  defaultErrnoRet: z.number().int().nullish(),
  architectures: z.array(z.string()).nullish(),
  archMap: z
    .array(z.object({ architecture: z.string(), subArchitectures: z.array(z.string()).nullish() }))
    .nullish(),
  flags: z.array(z.string()).nullish(),
  syscalls: z
    .array(
      z.object({
        name: z.string().nullish(),
        names: z.array(z.string()).nullish(),
        action: z.string(),
        errnoRet: z.number().int().nullish(),
        args: z
          .array(
            z.object({
              index: z.number().int(),
              value: z.number(),
              valueTwo: z.number().nullish(),
              op: z.string(),
            }),
          )
          .nullish(),
        includes: filter.nullish(),
        excludes: filter.nullish(),
      }),
    )
    .nullish(),
});

const goArch: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ppc64: 'ppc64le',
};

/**
 * Without those that this kernel cannot execute. libseccomp builds the filter for each of them anew at every start: of
 * 40 ms to create a container 15 were the filter, five for each architecture.
 */
function executable(architectures: readonly string[]): readonly string[] {
  return architectures.filter((name) => name !== 'SCMP_ARCH_X32' || kernelHasX32());
}

function kernelAtLeast(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [ownMajor = 0, ownMinor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

function bad(message: string, cause?: unknown): VarveError {
  return new VarveError('invalid', 'INVALID_SECCOMP', `Decoding seccomp profile failed: ${message}`, {
    cause,
  });
}

/**
 * An OCI filter from a profile's JSON text, with the rules that hold for this machine and these capabilities.
 * @throws VarveError `invalid` when it is not a profile.
 */
export function parseSeccompProfile(text: string, capabilities: readonly string[]): OciSeccomp {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw bad(error instanceof Error ? error.message : String(error), error);
  }
  const parsed = profileShape.safeParse(json);
  if (!parsed.success) throw bad(z.prettifyError(parsed.error), parsed.error);
  const profile = parsed.data;
  const ownArch = goArch[processor()] ?? processor();
  const native = seccompArchitectures[processor()]?.[0];
  const mapped = profile.archMap?.find((entry) => entry.architecture === native);
  const syscalls: OciSeccompRule[] = [];
  for (const rule of profile.syscalls ?? []) {
    const { includes, excludes } = rule;
    if (includes?.arches?.length && !includes.arches.includes(ownArch)) continue;
    if (excludes?.arches?.includes(ownArch)) continue;
    if (includes?.caps?.some((name) => !capabilities.includes(name))) continue;
    if (excludes?.caps?.some((name) => capabilities.includes(name))) continue;
    if (includes?.minKernel && !kernelAtLeast(includes.minKernel)) continue;
    if (excludes?.minKernel && kernelAtLeast(excludes.minKernel)) continue;
    const names = rule.names ?? (rule.name ? [rule.name] : []);
    if (names.length === 0) continue;
    syscalls.push({
      names,
      action: rule.action,
      ...(rule.errnoRet == null ? {} : { errnoRet: rule.errnoRet }),
      ...(rule.args?.length
        ? {
            args: rule.args.map(({ index, value, valueTwo, op }) => ({
              index,
              value,
              ...(valueTwo == null ? {} : { valueTwo }),
              op,
            })),
          }
        : {}),
    });
  }
  const architectures = profile.architectures?.length
    ? profile.architectures
    : mapped === undefined
      ? []
      : executable([mapped.architecture, ...(mapped.subArchitectures ?? [])]);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet == null ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    ...(architectures.length === 0 ? {} : { architectures }),
    ...(profile.flags?.length ? { flags: profile.flags } : {}),
    syscalls,
  };
}

function applies(entry: SeccompEntry, held: ReadonlySet<string>): boolean {
  if (entry.capabilities?.some((name) => !held.has(name))) return false;
  if (entry.withoutCapability !== undefined && held.has(entry.withoutCapability)) return false;
  if (entry.processors !== undefined && !entry.processors.includes(processor())) return false;
  return !entry.notProcessors?.includes(processor());
}

/** The default filter for a process that may hold these capabilities. */
export function defaultSeccomp(capabilities: readonly string[]): OciSeccomp {
  const held = new Set(capabilities);
  const architectures = seccompArchitectures[processor()];
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    ...(architectures === undefined ? {} : { architectures: executable(architectures) }),
    syscalls: defaultSeccompEntries
      .filter((entry) => applies(entry, held))
      .map(({ names, argument, errno }) => ({
        names,
        action: errno === undefined ? 'SCMP_ACT_ALLOW' : 'SCMP_ACT_ERRNO',
        ...(errno === undefined ? {} : { errnoRet: errno }),
        ...(argument === undefined
          ? {}
          : {
              args: [
                argument.op === 'SCMP_CMP_MASKED_EQ'
                  ? { index: argument.index, value: argument.value, valueTwo: 0, op: argument.op }
                  : { index: argument.index, value: argument.value, op: argument.op },
              ],
            }),
      })),
  };
}
