import { readFileSync } from 'node:fs';
import { type CgroupLayout, ownCapabilities, ownHardLimit } from '../../linux/index.ts';
import type { ContainerSpec, ExecSpec } from '../types.ts';
import { resolveCapabilities } from './capabilities.ts';
import { buildDevices } from './devices.ts';
import { checkMountPlaces } from './mount-places.ts';
import { buildMounts, rootPropagation } from './mounts.ts';
import type {
  OciCapabilities,
  OciMount,
  OciNamespace,
  OciProcess,
  OciSeccomp,
  OciSpec,
  OciUser,
} from './oci-spec.ts';
import { defaultMaskedPaths, defaultReadonlyPaths } from './paths.ts';
import { buildResources } from './resources.ts';
import { buildRlimits } from './rlimits.ts';
import { defaultSeccomp, parseSeccompProfile } from './seccomp.ts';
import { parseSecurityOptions } from './security-options.ts';
import { resolveRootfsUser } from './user.ts';

/** What the machine and the runtime's settings add to a spec. */
export interface SpecContext {
  readonly cgroups: CgroupLayout;
  /** Group of the container, such as `/varve/<id>`. */
  readonly cgroupPath: string;
  /** Host path of the init program for `--init`. */
  readonly tini: string;
  readonly swapAccounting: boolean;
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const INIT_IN_CONTAINER = '/sbin/docker-init';

function environment(spec: ContainerSpec): readonly string[] {
  const has = (name: string): boolean => spec.env.some((entry) => entry.startsWith(`${name}=`));
  return [
    ...(has('PATH') ? [] : [DEFAULT_PATH]),
    ...(has('HOSTNAME') || spec.hostname === '' ? [] : [`HOSTNAME=${spec.hostname}`]),
    ...(spec.tty && !has('TERM') ? ['TERM=xterm'] : []),
    ...spec.env,
  ];
}

/** Root gets the set at once; others keep it as the bound of what setuid programs may gain (moby oci.SetCapabilities). */
function processCapabilities(names: readonly string[], user: OciUser): OciCapabilities {
  return user.uid === 0 ? { bounding: names, effective: names, permitted: names } : { bounding: names };
}

function namespaces(spec: ContainerSpec, cgroups: CgroupLayout): readonly OciNamespace[] {
  const wanted = {
    network: spec.namespaces.network,
    pid: spec.namespaces.pid,
    ipc: spec.namespaces.ipc,
    uts: spec.namespaces.uts,
  };
  return [
    { type: 'mount' },
    ...(['network', 'pid', 'ipc', 'uts'] as const).flatMap((type): OciNamespace[] => {
      const target = wanted[type];
      if (target === 'host') return [];
      return [target === undefined ? { type } : { type, path: target }];
    }),
    // As Docker: private on version 2, the host's on version 1.
    ...(cgroups.version === 2 && !spec.privileged ? [{ type: 'cgroup' } as const] : []),
  ];
}

function seccomp(
  spec: ContainerSpec,
  profile: string,
  capabilities: readonly string[],
): OciSeccomp | undefined {
  if (profile === 'unconfined') return undefined;
  if (profile !== 'builtin' && profile !== '') return parseSeccompProfile(profile, capabilities);
  return spec.privileged ? undefined : defaultSeccomp(capabilities);
}

/** Docker opens low ports and ping to unprivileged users in a network namespace of the container's own. */
function sysctls(spec: ContainerSpec): Readonly<Record<string, string>> {
  return spec.namespaces.network === 'host'
    ? spec.sysctls
    : {
        'net.ipv4.ip_unprivileged_port_start': '0',
        'net.ipv4.ping_group_range': '0 2147483647',
        ...spec.sysctls,
      };
}

/** As Docker, a profile asked for on a host without AppArmor is passed over. */
function hostHasAppArmor(): boolean {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'latin1').startsWith('Y');
  } catch {
    return false;
  }
}

function initMount(tini: string): OciMount {
  return { destination: INIT_IN_CONTAINER, type: 'bind', source: tini, options: ['bind', 'ro'] };
}

/**
 * The OCI runtime spec of a container with Docker's defaults.
 * @throws VarveError `invalid` for an unknown user, capability, limit, device or security option, in Docker's words, and
 * for a root whose /dev, /proc or /sys is a link.
 */
export function buildSpec(spec: ContainerSpec, context: SpecContext): OciSpec {
  checkMountPlaces(spec.rootfs);
  const security = parseSecurityOptions(spec.securityOpt);
  const available = ownCapabilities('bounding');
  const capabilities = resolveCapabilities({
    add: spec.capAdd,
    drop: spec.capDrop,
    privileged: spec.privileged,
    available,
  });
  const user = resolveRootfsUser(spec.rootfs, spec.user, spec.groups);
  const devices = buildDevices(spec);
  const mounts = [...buildMounts(spec), ...(spec.init ? [initMount(context.tini)] : [])];
  const propagation = rootPropagation(mounts);
  const filter = seccomp(spec, security.seccomp, capabilities);
  const ownUts = spec.namespaces.uts === undefined;
  const mayRaise = ownCapabilities('effective').includes('CAP_SYS_RESOURCE');
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: spec.tty,
      ...(spec.tty && spec.terminalSize !== undefined
        ? { consoleSize: { height: spec.terminalSize.rows, width: spec.terminalSize.columns } }
        : {}),
      user,
      args: spec.init ? [INIT_IN_CONTAINER, '--', ...spec.args] : spec.args,
      env: environment(spec),
      cwd: spec.workingDir === '' ? '/' : spec.workingDir,
      capabilities: processCapabilities(capabilities, user),
      rlimits: buildRlimits(spec.ulimits, { mayRaise, hardLimit: ownHardLimit }),
      noNewPrivileges: security.noNewPrivileges,
      ...(security.apparmor !== undefined && hostHasAppArmor() ? { apparmorProfile: security.apparmor } : {}),
      // Lowering it needs CAP_SYS_RESOURCE (proc(5), oom_score_adj); without, the runtime would fail with EACCES.
      oomScoreAdj: mayRaise ? spec.oomScoreAdj : Math.max(0, spec.oomScoreAdj),
    },
    root: { path: spec.rootfs, readonly: spec.readOnlyRootfs },
    ...(ownUts ? { hostname: spec.hostname } : {}),
    ...(ownUts && spec.domainname ? { domainname: spec.domainname } : {}),
    mounts: security.writableCgroups
      ? mounts.map((mount) =>
          mount.type === 'cgroup'
            ? { ...mount, options: mount.options.map((option) => (option === 'ro' ? 'rw' : option)) }
            : mount,
        )
      : mounts,
    annotations: { ...spec.annotations },
    linux: {
      cgroupsPath: context.cgroupPath,
      namespaces: namespaces(spec, context.cgroups),
      devices: devices.nodes,
      resources: {
        ...buildResources(spec.resources, { swapAccounting: context.swapAccounting }),
        devices: devices.rules,
      },
      sysctl: sysctls(spec),
      maskedPaths: spec.maskedPaths ?? (spec.privileged ? [] : defaultMaskedPaths()),
      readonlyPaths: spec.readonlyPaths ?? (spec.privileged ? [] : defaultReadonlyPaths),
      ...(filter === undefined ? {} : { seccomp: filter }),
      ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
    },
  };
}

/** Later entries replace earlier ones of the same name; an entry without `=` removes it (moby ReplaceOrAppendEnvValues). */
export function mergeEnvironment(base: readonly string[], over: readonly string[]): readonly string[] {
  const merged = new Map<string, string>();
  for (const entry of [...base, ...over]) {
    const separator = entry.indexOf('=');
    if (separator < 0) merged.delete(entry);
    else merged.set(entry.slice(0, separator), entry);
  }
  return [...merged.values()];
}

/**
 * The process of an exec: the container's own, with what the exec asks for instead.
 * @param rootfs where its names of users are looked up.
 * @throws VarveError `invalid` for an unknown user.
 */
export function buildExecProcess(container: OciSpec, exec: ExecSpec): OciProcess {
  const { process: own } = container;
  const user = exec.user === '' ? own.user : resolveRootfsUser(container.root.path, exec.user);
  const names = exec.privileged ? ownCapabilities('bounding') : own.capabilities.bounding;
  const env = mergeEnvironment(own.env, exec.env);
  return {
    terminal: exec.tty,
    ...(exec.tty && exec.terminalSize !== undefined
      ? { consoleSize: { height: exec.terminalSize.rows, width: exec.terminalSize.columns } }
      : {}),
    user,
    args: exec.args,
    env: exec.tty && !env.some((entry) => entry.startsWith('TERM=')) ? ['TERM=xterm', ...env] : env,
    cwd: exec.workingDir === '' ? own.cwd : exec.workingDir,
    capabilities: processCapabilities(names, user),
    ...(own.rlimits === undefined ? {} : { rlimits: own.rlimits }),
    noNewPrivileges: own.noNewPrivileges,
    ...(own.apparmorProfile === undefined ? {} : { apparmorProfile: own.apparmorProfile }),
    oomScoreAdj: own.oomScoreAdj ?? 0,
  };
}
