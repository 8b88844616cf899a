/** The machine and the programs that figures are from. */
import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';

export function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} × ${cpus()[0]?.model}, ${memory} GiB, kernel ${release()}, Node ${process.version}`;
}

export function peerVersions(): string[] {
  return ['dockerd', 'podman'].map(
    (program) =>
      spawnSync(program, ['--version'], { encoding: 'utf8' }).stdout?.split('\n')[0] ??
      `${program}: not found`,
  );
}
