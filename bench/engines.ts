/** `npm run bench`: run, pull, push, build and commit beside docker, podman and buildah in one run; writes bench/RESULTS.md. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { busyboxBase, debianBase } from '../scripts/base-images.ts';
import { type Measurement, measure, median, must, untilIdle } from './harness.ts';
import { inNamespace, type Peers, reenter, startPeers } from './peers.ts';
import { writeResults } from './results.ts';

const root = resolve(import.meta.dirname, '..');
const quick = process.argv.includes('--quick');
const only = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const runs = quick ? 3 : 7;

if (!inNamespace) {
  await debianBase();
  busyboxBase();
  process.exit(reenter());
}

const folder = mkdtempSync('/var/tmp/varve-bench-');
const results: Measurement[] = [];
const wanted = (name: string): boolean => only.length === 0 || only.includes(name);

async function compare(
  name: string,
  engines: Parameters<typeof measure>[1],
  options: Partial<Parameters<typeof measure>[2]> = {},
): Promise<void> {
  results.push(...(await measure(name, engines, { runs, ...options })));
}

/** Base images, and one of eight layers, in every store and in the registry. */
async function prepareImages(peers: Peers): Promise<void> {
  const { env, registry } = peers;
  const context = join(folder, 'multi');
  mkdirSync(context);
  for (let set = 1; set <= 4; set++) {
    mkdirSync(join(context, `s${set}`));
    for (let file = 0; file < 50; file++)
      writeFileSync(join(context, `s${set}/f${file}`), `${set} ${file}\n`);
  }
  writeFileSync(join(context, 'noise'), randomBytes(24 << 20));
  writeFileSync(
    join(context, 'Dockerfile'),
    `FROM bench/debian
COPY s1 /app/s1
RUN mkdir -p /app/gen && for i in $(seq 2000); do echo $i > /app/gen/$i; done
COPY s2 /app/s2
COPY noise /app/noise
COPY s3 /app/s3
RUN cp -a /usr/share /app/share
COPY s4 /app/s4
ENV A=1
CMD ["sh"]
`,
  );
  must([...peers.docker, 'import', '-c', 'CMD ["sh"]', busyboxBase(), 'bench/busybox'], env);
  must([...peers.docker, 'import', '-c', 'CMD ["bash"]', await debianBase(), 'bench/debian'], env);
  must([...peers.docker, 'build', '-q', '-t', 'bench/multi', context], env);
  for (const name of ['busybox', 'debian', 'multi']) {
    const remote = `${registry}/bench/${name}`;
    must([...peers.docker, 'tag', `bench/${name}`, remote], env);
    must([...peers.docker, 'push', '-q', remote], env);
    must([...peers.varve, 'pull', '-q', remote], env);
    must([...peers.varve, 'tag', remote, `bench/${name}`], env);
    must([...peers.podman, 'pull', '-q', '--tls-verify=false', remote], env);
    must([...peers.podman, 'tag', remote, `localhost/bench/${name}`], env);
  }
}

async function run(peers: Peers): Promise<void> {
  const { env } = peers;
  for (const network of ['none', 'host', 'bridge']) {
    await compare(`run --rm (${network})`, {
      varve: { argv: [...peers.varve, 'run', '--rm', '--network', network, 'bench/busybox', 'true'], env },
      docker: { argv: [...peers.docker, 'run', '--rm', '--network', network, 'bench/busybox', 'true'], env },
      podman: {
        argv: [
          ...peers.podman,
          'run',
          '--rm',
          '--network',
          network === 'bridge' ? 'podman' : network,
          'localhost/bench/busybox',
          'true',
        ],
        env,
      },
    });
  }
}

async function pull(peers: Peers): Promise<void> {
  const { env, registry } = peers;
  const remote = `${registry}/bench/multi`;
  const wipe = (argv: readonly string[], pid?: number) => (): void => {
    must(argv, env);
    execFileSync('sync');
    // What an engine deletes after its answer is not the next pull's time.
    if (pid !== undefined) untilIdle(pid);
  };
  const cold = [
    'podman',
    '--root',
    join(folder, 'podman-cold/root'),
    '--runroot',
    join(folder, 'podman-cold/run'),
    ...peers.podman.slice(5),
  ];
  await compare(
    'pull, 8 layers, cold',
    {
      varve: {
        argv: [...peers.varve, 'pull', '-q', remote],
        env,
        prepare: wipe([...peers.varve, 'image', 'prune', '-af'], peers.pids.varve),
      },
      docker: {
        argv: [...peers.docker, 'pull', '-q', remote],
        env,
        prepare: wipe([...peers.docker, 'image', 'prune', '-af'], peers.pids.docker),
      },
      podman: {
        argv: [...cold, 'pull', '-q', '--tls-verify=false', remote],
        env,
        prepare: wipe([...cold, 'rmi', '-af']),
      },
    },
    { runs: quick ? 3 : 5, warm: false },
  );
  const layers = join(folder, 'layers');
  must(['skopeo', 'copy', '-q', '--src-tls-verify=false', `docker://${remote}`, `dir:${layers}`]);
  const { layers: list } = JSON.parse(readFileSync(join(layers, 'manifest.json'), 'utf8')) as {
    layers: { digest: string }[];
  };
  const files = list.map(({ digest }) => join(layers, digest.slice(7)));
  const floor = join(folder, 'floor');
  await compare(
    'pull, 8 layers, cold',
    {
      'floor: gzip|tar': {
        argv: [
          'sh',
          '-c',
          `mkdir -p ${floor}; for f in "$@"; do gzip -dc < $f | tar -x --numeric-owner -p -C ${floor}; done`,
          'sh',
          ...files,
        ],
        prepare: () => rmSync(floor, { recursive: true, force: true }),
      },
      'floor: gzip|sha256': {
        argv: ['sh', '-c', 'for f in "$@"; do gzip -dc < $f | sha256sum; done', 'sh', ...files],
      },
    },
    { runs: 3, warm: false },
  );
  for (const name of ['busybox', 'debian', 'multi']) {
    for (const engine of [peers.varve, peers.docker]) {
      must([...engine, 'pull', '-q', `${registry}/bench/${name}`], env);
      must([...engine, 'tag', `${registry}/bench/${name}`, `bench/${name}`], env);
    }
  }
}

async function push(peers: Peers): Promise<void> {
  const { env, emptyRegistry } = peers;
  const remote = `${emptyRegistry.host}/bench/built`;
  // Built in each engine, so that no compressed blob of a pull is at hand.
  const context = join(folder, 'multi');
  must([...peers.varve, 'build', '-q', '--no-cache', '-t', remote, context], env);
  must([...peers.docker, 'build', '-q', '--no-cache', '-t', remote, context], env);
  must([...peers.podman, 'tag', 'localhost/bench/multi', remote], env);
  const prepare = emptyRegistry.wipe;
  await compare(
    'push, 8 layers, empty registry',
    {
      varve: { argv: [...peers.varve, 'push', '-q', remote], env, prepare },
      docker: { argv: [...peers.docker, 'push', '-q', remote], env, prepare },
      podman: { argv: [...peers.podman, 'push', '-q', '--tls-verify=false', remote], env, prepare },
    },
    { runs: quick ? 3 : 5, warm: false },
  );
}

async function build(peers: Peers): Promise<void> {
  const { env } = peers;
  const context = join(folder, 'build');
  mkdirSync(join(context, 'src'), { recursive: true });
  for (let file = 0; file < 200; file++)
    writeFileSync(join(context, `src/f${file}`), randomBytes(2000).toString('base64'));
  writeFileSync(join(context, 'blob'), randomBytes(20_000_000));
  const text = (base: string): string => `FROM ${base}
ENV APP=/app LANG=C.UTF-8
WORKDIR /app
COPY src /app/src
RUN mkdir -p /app/out && cat /app/src/* > /app/out/all
COPY blob /app/blob
RUN sha256sum /app/blob > /app/out/sum
ENV MODE=prod
RUN for i in $(seq 500); do echo $i > /app/out/g$i; done
RUN useradd -m app && chown -R app /app/out
CMD ["cat","/app/out/sum"]
`;
  writeFileSync(join(context, 'Dockerfile'), text('bench/debian'));
  writeFileSync(join(context, 'Dockerfile.podman'), text('localhost/bench/debian'));
  writeFileSync(join(context, '.dockerignore'), 'Dockerfile*\n');
  const buildah = [
    ...peers.buildah,
    'bud',
    '-q',
    '--runtime',
    'runc',
    '--layers',
    '--network',
    'none',
    '-f',
    join(context, 'Dockerfile.podman'),
    '-t',
    'bench/b',
  ];
  await compare(
    'build, 10 steps, cold',
    {
      varve: { argv: [...peers.varve, 'build', '-q', '--no-cache', '-t', 'bench/b', context], env },
      docker: { argv: [...peers.docker, 'build', '-q', '--no-cache', '-t', 'bench/b', context], env },
      buildah: { argv: [...buildah, '--no-cache', context], env },
    },
    { runs: quick ? 2 : 3, warm: false },
  );
  await compare('build, 10 steps, cached', {
    varve: { argv: [...peers.varve, 'build', '-q', '-t', 'bench/b', context], env },
    docker: { argv: [...peers.docker, 'build', '-q', '-t', 'bench/b', context], env },
    buildah: { argv: [...buildah, context], env },
  });
}

async function commit(peers: Peers): Promise<void> {
  const { env } = peers;
  for (const files of [1, 1000, 20_000]) {
    const make = (engine: readonly string[], image: string): void => {
      must(
        [
          ...engine,
          'run',
          '--name',
          `c${files}`,
          '--network',
          'none',
          image,
          'sh',
          '-c',
          `mkdir /d; i=0; while [ $i -lt ${files} ]; do echo $i > /d/$i; i=$((i+1)); done`,
        ],
        env,
      );
    };
    make(peers.varve, 'bench/busybox');
    make(peers.docker, 'bench/busybox');
    make(peers.podman, 'localhost/bench/busybox');
    const remove = (engine: readonly string[]) => (): void => {
      const [program, ...rest] = [...engine, 'rmi', '-f', 'bench/committed'];
      try {
        execFileSync(program, rest, { env: { ...process.env, ...env }, stdio: 'ignore' });
      } catch {
        // The first run has nothing to remove.
      }
    };
    await compare(
      `commit, ${files} file${files === 1 ? '' : 's'}`,
      {
        varve: {
          argv: [...peers.varve, 'commit', `c${files}`, 'bench/committed'],
          env,
          prepare: remove(peers.varve),
        },
        docker: {
          argv: [...peers.docker, 'commit', `c${files}`, 'bench/committed'],
          env,
          prepare: remove(peers.docker),
        },
        podman: {
          argv: [...peers.podman, 'commit', '-q', `c${files}`, 'bench/committed'],
          env,
          prepare: remove(peers.podman),
        },
      },
      { runs: quick ? 2 : 3, warm: false },
    );
  }
}

async function start(): Promise<void> {
  await compare(
    '--version',
    {
      varve: { argv: [join(root, 'varve'), '--version'] },
      'node -e 0': { argv: [process.execPath, '-e', '0'] },
      docker: { argv: ['docker', '--version'] },
    },
    { runs: quick ? 9 : 21 },
  );
}

/** Resident bytes of a process and all its descendants, proportional where the kernel tells. */
function memory(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter(Boolean);
  const own =
    Number(/^Rss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0) * 1024;
  return own + children.reduce((sum, child) => sum + memory(Number(child)), 0);
}

/** Memory of engines once they have been idle for half a minute: what they keep for the next request is gone by then. */
async function idleMemory(pids: Readonly<Record<string, number>>): Promise<Record<string, number>> {
  await new Promise((done) => setTimeout(done, 30_000));
  return Object.fromEntries(Object.entries(pids).map(([engine, pid]) => [engine, memory(pid)]));
}

function report(idle: Readonly<Record<string, number>>): string {
  const goals: Readonly<Record<string, string>> = {
    'run --rm (bridge)': '≤ 0.4 docker, ≤ 0.6 podman',
    'pull, 8 layers, cold': '≤ 0.5 docker',
    'push, 8 layers, empty registry': '≤ 0.4 docker',
    'build, 10 steps, cached': '≤ 0.7 docker',
    'commit, 20000 files': '≤ 0.5 docker',
    '--version': '≤ 1.3 node -e 0',
  };
  const lines = [
    '| case | engine | median ms | min | max | n | Varve ÷ this | goal |',
    '|---|---|---:|---:|---:|---:|---:|---|',
  ];
  for (const result of results) {
    const ours = results.find((other) => other.name === result.name && other.engine === 'varve');
    const ratio = ours && result !== ours ? (ours.median / result.median).toFixed(2) : '';
    lines.push(
      `| ${result.name} | ${result.engine} | ${result.median.toFixed(1)} | ${Math.min(...result.milliseconds).toFixed(1)} | ${Math.max(...result.milliseconds).toFixed(1)} | ${result.milliseconds.length} | ${ratio} | ${result.engine === 'varve' ? (goals[result.name] ?? '') : ''} |`,
    );
  }
  const version = (program: string, ...words: string[]): string => {
    try {
      return execFileSync(program, words, { encoding: 'utf8' }).split('\n')[0] as string;
    } catch {
      return `${program}: not found`;
    }
  };
  return `# Engines side by side

Made by \`npm run bench\`${quick ? ' (--quick)' : ''} on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, kernel ${release()}, Node ${process.version}.
Peers: ${[version('dockerd', '--version'), version('podman', '--version'), version('buildah', '--version'), version('skopeo', '--version'), version('runc', '--version')].join('; ')}.
The same stock docker client drives Varve's engine and dockerd. Runs of the engines are interleaved; times are whole commands. Median load while measuring: ${median(results.map((result) => result.load)).toFixed(1)}.

${lines.join('\n')}

Resident memory, with child processes, of engines that have been idle for half a minute, fresh and after all this: ${Object.entries(
    idle,
  )
    .map(([engine, bytes]) => `${engine} ${(bytes / 2 ** 20).toFixed(0)} MiB`)
    .join(', ')} (goal: Varve ≤ 90 MiB).
`;
}

let peers: Peers | undefined;
try {
  if (wanted('start')) await start();
  if (['run', 'pull', 'push', 'build', 'commit'].some(wanted)) {
    peers = await startPeers(folder);
    const { varve, docker } = peers.pids;
    const fresh = await idleMemory({ 'varve fresh': varve, 'docker + containerd fresh': docker });
    await prepareImages(peers);
    if (wanted('run')) await run(peers);
    if (wanted('pull')) await pull(peers);
    if (wanted('push')) await push(peers);
    if (wanted('build')) await build(peers);
    if (wanted('commit')) await commit(peers);
    const after = await idleMemory({ varve, 'docker + containerd': docker });
    const text = report({ ...fresh, ...after });
    if (only.length === 0) writeResults(text);
    console.log(text);
  } else console.log(report({}));
} finally {
  await peers?.stop();
  if (existsSync(folder))
    execFileSync('sh', [
      '-c',
      `awk '$5 ~ "^${folder}" {print $5}' /proc/self/mountinfo | sort -r | xargs -r -n1 umount -l; rm -rf --one-file-system ${folder}`,
    ]);
}
