/** Makes the two base images of the tour and the tests from Debian's packages, once: a Debian by debootstrap, and a busybox. */
import { execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const cache = resolve(import.meta.dirname, '../.cache');

/** A tar whose bytes depend on the tree alone. */
function pack(folder: string, output: string): void {
  const temporary = `${output}.tmp`;
  execFileSync('tar', ['-C', folder, '--sort=name', '--numeric-owner', '--xattrs', '-cf', temporary, '.']);
  renameSync(temporary, output);
}

/** The mirror that apt uses for this suite; none lets debootstrap use its own. */
function mirror(suite: string): string[] {
  const targets = execFileSync(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI) $(CODENAME)', 'Created-By: Packages'],
    {
      encoding: 'utf8',
    },
  );
  const line = targets.split('\n').find((entry) => entry.endsWith(` ${suite}`));
  const address = line?.split(' ')[0];
  return address === undefined ? [] : [address];
}

/** Path of a tar of Debian bookworm's minimal system; made by debootstrap the first time (about a minute). */
export async function debianBase(progress: (line: string) => void = () => undefined): Promise<string> {
  const output = join(cache, 'debian-bookworm-minbase.tar');
  if (existsSync(output)) return output;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'varve-debootstrap-'));
  try {
    const child = spawn('debootstrap', ['--variant=minbase', 'bookworm', folder, ...mirror('bookworm')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line.startsWith('I: ')) progress(line.slice(3));
    });
    const code = await new Promise<number | null>((done) => child.on('close', done));
    if (code !== 0) throw new Error(`debootstrap ended with ${code}`);
    chmodSync(folder, 0o755);
    execFileSync('find', [join(folder, 'var/cache/apt/archives'), '-name', '*.deb', '-delete']);
    // Device nodes come from the runtime; a base image carries none.
    execFileSync('find', [join(folder, 'dev'), '-mindepth', '1', '-delete']);
    pack(folder, output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return output;
}

/** Path of a tar of a system that is one static busybox and its names. */
export function busyboxBase(): string {
  const output = join(cache, 'busybox.tar');
  if (existsSync(output)) return output;
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'varve-busybox-'));
  try {
    for (const name of ['bin', 'dev', 'etc', 'proc', 'root', 'sys', 'tmp', 'usr', 'var'])
      mkdirSync(join(folder, name));
    cpSync('/bin/busybox', join(folder, 'bin/busybox'));
    const names = execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n');
    for (const name of names) if (name !== 'busybox') symlinkSync('busybox', join(folder, 'bin', name));
    writeFileSync(
      join(folder, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n',
    );
    writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
    chmodSync(folder, 0o755);
    execFileSync('chmod', ['1777', join(folder, 'tmp')]);
    execFileSync('touch', ['-d', '@0', folder]);
    pack(folder, output);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return output;
}
