import { ownCapabilities, ownHardLimit } from '../../linux/index.ts';
import type { ContainerSpec } from '../types.ts';
import { resolveCapabilities } from './capabilities.ts';
import { buildRlimits } from './rlimits.ts';
import { parseSeccompProfile } from './seccomp.ts';
import { parseSecurityOptions } from './security-options.ts';

/**
 * Checks early what {@link buildSpec} would refuse at the start and that needs no root file system.
 * @throws VarveError `invalid` for an unknown capability, limit or security option, in Docker's words.
 */
export function checkRequest(
  spec: Pick<ContainerSpec, 'capAdd' | 'capDrop' | 'privileged' | 'securityOpt' | 'ulimits'>,
): void {
  const capabilities = resolveCapabilities({
    add: spec.capAdd,
    drop: spec.capDrop,
    privileged: spec.privileged,
    available: ownCapabilities('bounding'),
  });
  const { seccomp } = parseSecurityOptions(spec.securityOpt);
  if (!['builtin', 'unconfined', ''].includes(seccomp)) parseSeccompProfile(seccomp, capabilities);
  buildRlimits(spec.ulimits, { mayRaise: true, hardLimit: ownHardLimit });
}
