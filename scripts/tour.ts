/**
 * `npm start`: Varve's main job on real input, told as it happens. Every command shown is the one that is run.
 * A second run reuses the base images, the build cache and the layers that are there.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { styleText } from 'node:util';
import { busyboxBase, debianBase } from './base-images.ts';

const root = resolve(import.meta.dirname, '..');
const varve = join(root, 'varve');

const say = (text: string): void => console.log(`\n${text}`);
const heading = (text: string): void => console.log(`\n${styleText('bold', `── ${text} `.padEnd(78, '─'))}`);

/** Runs and shows a command; its output is the reader's. */
function run(...words: string[]): void {
  console.log(
    styleText(
      'cyan',
      `$ varve ${words.map((word) => (/[\s"'$;|>]/.test(word) ? `'${word}'` : word)).join(' ')}`,
    ),
  );
  const { status } = spawnSync(varve, words, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`varve ${words.join(' ')} ended with ${status}`);
}

/** Keeps one line of what debootstrap is at; a log gets every fiftieth. */
let steps = 0;
function progress(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K  debootstrap: ${line.slice(0, 60)}`);
  else if (steps++ % 50 === 0) console.log(`  debootstrap: ${line}`);
}

/** Runs a command quietly and gives its output. */
function ask(...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(varve, words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`varve ${words.join(' ')} ended with ${status}: ${stderr}`);
  return stdout.trim();
}

function exists(image: string): boolean {
  return spawnSync(varve, ['image', 'inspect', image], { stdio: 'ignore' }).status === 0;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

async function main(): Promise<void> {
  heading('1. Base images');
  say(
    'A base image is a tar of a root file system and a little JSON. We make two: a Debian, and one busybox.',
  );
  const debian = await debianBase(progress);
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  if (!exists('debian:bookworm')) run('import', '--change', 'CMD ["bash"]', debian, 'debian:bookworm');
  if (!exists('busybox:latest')) run('import', '--change', 'CMD ["sh"]', busyboxBase(), 'busybox:latest');
  run('images');

  heading('2. Build');
  say(
    'The Dockerfile of the articles. ADD and RUN each make a layer; LABEL, VOLUME and CMD only change the JSON.',
  );
  run('build', '-t', 'tour/app', join(root, 'examples/articles'));
  say('Which instruction made which layer, its size, and which made none:');
  run('history', 'tour/app');

  heading('3. Run, and write inside');
  const before = ask('image', 'inspect', '--format', '{{json .RootFS.Layers}}', 'tour/app');
  spawnSync(varve, ['rm', '-f', '-v', 'tour-app'], { stdio: 'ignore' });
  run('run', '--name', 'tour-app', 'tour/app');
  run('rm', '-v', 'tour-app');
  run('run', '-d', '--name', 'tour-app', 'tour/app', 'sleep', '600');
  run('exec', 'tour-app', 'sh', '-c', 'echo mine >> /etc/motd; rm /srv/app/one; echo new > /srv/app/two');
  say('What this container changed: its writable layer, and nothing else. A is added, C changed, D deleted.');
  run('diff', 'tour-app');
  const after = ask('image', 'inspect', '--format', '{{json .RootFS.Layers}}', 'tour/app');
  if (before !== after) throw new Error('the image changed');
  say(
    `The image still has the same ${(JSON.parse(after) as string[]).length} layers, digest for digest; a fresh container shows them untouched:`,
  );
  run('run', '--rm', 'tour/app', 'ls', '/srv/app');
  say('Committing the container turns its writable layer into one more read-only layer:');
  run('commit', '-m', 'the tour changed three files', 'tour-app', 'tour/changed');
  run('rm', '-f', '-v', 'tour-app');
  run('history', 'tour/changed');

  heading('4. A registry: push, forget, pull back');
  const port = await freePort();
  const name = `127.0.0.1:${port}/tour/changed`;
  const storage = mkdtempSync(join(tmpdir(), 'varve-tour-registry-'));
  console.log(styleText('cyan', `$ varve registry serve --addr 127.0.0.1:${port} --root ${storage} &`));
  const registry = spawn(varve, ['registry', 'serve', '--addr', `127.0.0.1:${port}`, '--root', storage], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, REGISTRY_LOG_LEVEL: 'warn' },
  });
  try {
    await reachable(`http://127.0.0.1:${port}/v2/`);
    run('tag', 'tour/changed', name);
    run('push', name);
    say(
      'Now the local copy goes. Pulled back, its own layer comes over the wire, checked against its digest; those that other images here still hold are not fetched again.',
    );
    run('rmi', name, 'tour/changed');
    run('pull', name);
    run('run', '--rm', name, 'cat', '/srv/app/two');
    run('tag', name, 'tour/changed');
  } finally {
    registry.kill('SIGTERM');
    await new Promise((done) => registry.once('close', done));
    rmSync(storage, { recursive: true, force: true });
  }
  run('rmi', name);

  heading('5. Explain');
  say('A file of the base, one that was changed on the way, and one that was deleted:');
  run('explain', 'tour/changed', '/etc/os-release');
  run('explain', 'tour/changed', '/etc/motd');
  run('explain', 'tour/changed', '/srv/app/one');

  heading('That was the main job');
  say(`Type next, from this folder:
  ./varve --help                          every command
  ./varve run -it --rm debian:bookworm    a shell in a container
  ./varve explain tour/app                why this image is as big as it is
  ./varve layers tour/changed             its stack, layer by layer
  DOCKER_HOST=unix:///run/varve/varve.sock docker ps      Docker's own client against this engine
  npm test                                everything, tested`);
}

async function reachable(url: string): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      const response = await fetch(url);
      await response.arrayBuffer();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

main().catch((error: unknown) => {
  console.error(`\ntour: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
