import { VarveError } from '../base/index.ts';

// crun says this of any program it cannot find; runc, whose words Docker's users know, tells the two cases apart.
function inWordsOfRunc(reason: string): string {
  const missing = /^executable file `(.*)` not found in \$PATH: No such file or directory$/s.exec(
    reason,
  )?.[1];
  if (missing === undefined) return reason;
  return missing.includes('/')
    ? `unable to start container process: exec: "${missing}": stat ${missing}: no such file or directory`
    : `unable to start container process: exec: "${missing}": executable file not found in $PATH`;
}

/** The runtime's reason without what its logger puts around it. */
export function runtimeReason(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const last = lines.at(-1) ?? '';
  const logged = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1];
  const message = logged === undefined ? last : logged.replaceAll('\\"', '"').replaceAll('\\\\', '\\');
  return inWordsOfRunc(message.replace(/^\d{4}-\S+T\S+: /, '').trim());
}

/**
 * The exit code that stands for a start failure, from the runtime's words (moby setExitCodeFromError): 127 program not
 * found, 126 found and not executable, else 128.
 */
export function exitCodeOf(reason: string): 126 | 127 | 128 {
  const text = reason.toLowerCase();
  if (text.includes('permission denied') || text.includes('is a directory')) return 126;
  if (
    text.includes('executable file not found') ||
    text.includes('no such file or directory') ||
    text.includes('not a directory') ||
    (text.includes('executable file') && text.includes('not found'))
  ) {
    return 127;
  }
  return 128;
}

/** The error of a container that could not be created or started, in the words of Docker 28. */
export function createError(id: string, runtimeOutput: string): VarveError {
  const reason = runtimeReason(runtimeOutput);
  const exitCode = exitCodeOf(reason);
  const hint = reason.includes('not a directory')
    ? ': Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type'
    : '';
  return new VarveError(
    exitCode === 128 ? 'internal' : 'invalid',
    'CONTAINER_START_FAILED',
    `failed to create task for container: failed to create shim task: OCI runtime create failed: ${reason}: unknown${hint}`,
    { subject: id, data: { exitCode } },
  );
}

/** The error of an exec that could not be started. */
export function execError(id: string, runtimeOutput: string): VarveError {
  const reason = runtimeReason(runtimeOutput);
  const exitCode = exitCodeOf(reason);
  return new VarveError(
    exitCode === 128 ? 'internal' : 'invalid',
    'EXEC_START_FAILED',
    `OCI runtime exec failed: ${reason}: unknown`,
    { subject: id, data: { exitCode } },
  );
}
