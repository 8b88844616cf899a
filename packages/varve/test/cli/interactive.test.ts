import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { eventually } from '../engine/harness.ts';
import { type HostProcess, startVarveRegistry } from '../support/host-process.ts';
import { OnTerminal } from './on-terminal.ts';
import { Pair } from './pair.ts';

let pair: Pair;
let registry: HostProcess & { readonly host: string };

before(async () => {
  pair = await Pair.start();
  registry = await startVarveRegistry(pair.engine.netns, `${pair.engine.folder}/registry`);
  await pair.ok('tag', 'busybox', `${registry.host}/box`);
  await pair.ok('push', '-q', `${registry.host}/box`);
});

after(async () => {
  await registry?.[Symbol.asyncDispose]();
  await pair?.[Symbol.asyncDispose]();
});

/** A command line for sh(1). */
function line(...args: readonly string[]): string {
  return pair
    .argv(...args)
    .map((word) => `'${word.replaceAll("'", "'\\''")}'`)
    .join(' ');
}

function onTerminal(command: string, env: Readonly<Record<string, string>> = {}): OnTerminal {
  return new OnTerminal(command, pair.environment(env));
}

test('gives the container a terminal: prompt, echo, size, exit code', async () => {
  const run = line('run', '-it', '--rm', 'busybox', 'sh');
  await using terminal = onTerminal(`stty rows 31 cols 97; ${run}; echo "code=$?"`);
  await terminal.shows(/\/ # /);
  terminal.type('stty size\n');
  await terminal.shows(/stty size\r\n31 97\r\n/);
  await terminal.resize(40, 120);
  terminal.type('stty size\n');
  // The new size travels beside the keys.
  await eventually('the size follows the window', () => {
    if (terminal.screen.includes('40 120')) return true;
    terminal.type('stty size\n');
    return false;
  });
  terminal.type('exit 6\n');
  await terminal.shows(/code=6/);
});

test('hands Ctrl-C to the container', async () => {
  const script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done';
  const run = line('run', '-it', '--rm', 'busybox', 'sh', '-c', script);
  await using terminal = onTerminal(`${run}; echo "code=$?"`);
  await terminal.shows(/ready/);
  terminal.type('\x03');
  await terminal.shows(/caught/);
  await terminal.shows(/code=9/);
});

test('hands Ctrl-C to a container without a terminal as a signal', async () => {
  const script = 'trap "echo caught; exit 9" INT; echo ready; while :; do sleep 0.1; done';
  const run = line('run', '--rm', 'busybox', 'sh', '-c', script);
  await using terminal = onTerminal(`trap : INT; ${run}; echo "code=$?"`);
  await terminal.shows(/ready/);
  terminal.type('\x03');
  await terminal.shows(/caught/);
  await terminal.shows(/code=9/);
});

test('leaves the container running at the detach keys, and the terminal as it was', async () => {
  const run = line('run', '-it', '--name', 'kept', 'busybox', 'sh');
  await using terminal = onTerminal(
    `echo "before=$(stty -g)"; ${run}; echo "code=$?"; echo "after=$(stty -g)"`,
  );
  await terminal.shows(/\/ # /);
  terminal.type('\x10\x11');
  await terminal.shows(/code=0/);
  const [, after_] = await terminal.shows(/after=(\S+)/);
  const [, before_] = await terminal.shows(/before=(\S+)/);
  assert.equal(after_, before_);
  assert.equal(await pair.ok('inspect', '-f', '{{.State.Running}}', 'kept'), 'true');
  await using again = onTerminal(`${line('attach', '--detach-keys', 'ctrl-a,x', 'kept')}; echo "code=$?"`);
  again.type('echo $((6*7))\n');
  await again.shows(/\b42\b/);
  again.type('\x01x');
  await again.shows(/code=/);
  assert.equal(await pair.ok('inspect', '-f', '{{.State.Running}}', 'kept'), 'true');
  await pair.ok('rm', '-f', 'kept');
});

test('gives exec a terminal', async () => {
  await pair.ok('run', '-d', '--name', 'host', 'busybox', 'sleep', '1000');
  await using terminal = onTerminal(`${line('exec', '-it', 'host', 'sh')}; echo "code=$?"`);
  await terminal.shows(/\/ # /);
  terminal.type('tty; exit 5\n');
  await terminal.shows(/\/dev\/pts\/0/);
  await terminal.shows(/code=5/);
  await pair.ok('rm', '-f', 'host');
});

test('redraws the lines of a pull on a terminal, and only there', async () => {
  const name = `${registry.host}/box`;
  await pair.ok('rmi', '-f', name, 'busybox');
  await using terminal = onTerminal(`stty cols 100; ${line('pull', name)}; echo "code=$?"`);
  const screen = await terminal.ended();
  assert.match(screen, /code=0/);
  assert.ok(screen.includes('\x1b[1A\x1b[2K'), screen);
  assert.match(screen, /Already exists|Pull complete/);
  await pair.ok('rmi', '-f', name);
  const piped = await pair.varve(['pull', name]);
  assert.ok(!/[\r]/.test(piped.stdout) && !piped.stdout.includes('\x1b'), piped.stdout);
  assert.match(piped.stdout, /: (Already exists|Pull complete)\n/);
  await pair.ok('tag', name, 'busybox');
});

test('ends cleanly when its reader leaves early', async () => {
  for (let index = 0; index < 3; index++) await pair.ok('volume', 'create', `v${index}`);
  const command = `${line('events', '--since', '1h')} | head -n 1; echo "code=\${PIPESTATUS[0]}"`;
  const child = spawn('bash', ['-c', command], { env: pair.environment(), stdio: 'pipe' });
  let text = '';
  let late = 0;
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  // What is written after the reader went is what tells that it did.
  await eventually('the command ended', async () => {
    if (child.exitCode !== null) return true;
    // A volume that is there already makes no event.
    await pair.ok('volume', 'create', `late${late++}`);
    return false;
  });
  if (!child.stdout.readableEnded) await once(child, 'close');
  assert.match(text, /^\S+ \w+ \w+ .*\ncode=0\n$/);
});

test('asks before it removes, and takes no answer for no', async () => {
  await using terminal = onTerminal(`${line('volume', 'prune', '-a')}; echo "code=$?"`);
  await terminal.shows(/Are you sure you want to continue\? \[y\/N\] /);
  terminal.type('n\n');
  await terminal.shows(/code=0/);
  assert.match(await pair.ok('volume', 'ls', '-q'), /v0/);
  await pair.varve(['volume', 'prune', '-a']);
  assert.match(await pair.ok('volume', 'ls', '-q'), /v0/);
});
