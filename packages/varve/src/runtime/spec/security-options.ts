import { VarveError } from '../../base/index.ts';

/** What `--security-opt` asks for. */
export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** `builtin`, `unconfined` or the text of a profile. */
  readonly seccomp: string;
  readonly apparmor: string | undefined;
  readonly labels: readonly string[];
  readonly writableCgroups: boolean;
}

function invalid(position: 1 | 2, option: string): VarveError {
  return new VarveError(
    'invalid',
    'INVALID_SECURITY_OPT',
    `invalid --security-opt ${position}: "${option}"`,
    {
      subject: option,
      hint: 'known are no-new-privileges, seccomp=, apparmor=, label= and writable-cgroups=',
    },
  );
}

// Go's strconv.ParseBool.
function parseBool(text: string, option: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  throw invalid(2, option);
}

/**
 * Reads `--security-opt` values as moby does (daemon_unix.go parseSecurityOpt): `key=value`, or the old `key:value`.
 * @throws VarveError `invalid` in Docker's words.
 */
export function parseSecurityOptions(options: readonly string[]): SecurityOptions {
  let noNewPrivileges = false;
  let seccomp = 'builtin';
  let apparmor: string | undefined;
  let writableCgroups = false;
  const labels: string[] = [];
  for (const option of options) {
    if (option === 'no-new-privileges') {
      noNewPrivileges = true;
      continue;
    }
    if (option === 'disable') {
      labels.push(option);
      continue;
    }
    const separator = option.includes('=') ? option.indexOf('=') : option.indexOf(':');
    if (separator < 0) throw invalid(1, option);
    const value = option.slice(separator + 1);
    switch (option.slice(0, separator)) {
      case 'label':
        labels.push(value);
        break;
      case 'apparmor':
        apparmor = value;
        break;
      case 'seccomp':
        seccomp = value;
        break;
      case 'no-new-privileges':
        noNewPrivileges = parseBool(value, option);
        break;
      case 'writable-cgroups':
        writableCgroups = parseBool(value, option);
        break;
      default:
        throw invalid(2, option);
    }
  }
  return { noNewPrivileges, seccomp, apparmor, labels, writableCgroups };
}
