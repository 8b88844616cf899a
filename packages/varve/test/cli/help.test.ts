import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { engineCommand } from '../../src/bin/engine-command.ts';
import { migrateCommand } from '../../src/bin/migrate-command.ts';
import { registryCommands } from '../../src/bin/registry.ts';
import { commands } from '../../src/cli/index.ts';
import { type Bundle, bundle } from './bundle.ts';
import { Pair } from './pair.ts';

let built: Bundle;
let pair: Pair;

before(async () => {
  built = bundle();
  pair = await Pair.start(built.entry);
  await pair.ok('run', '-d', '--name', 'web', 'busybox', 'sleep', '1000');
});

after(async () => {
  await pair?.[Symbol.asyncDispose]();
  built?.[Symbol.dispose]();
});

test('every command has a summary, a usage, an example and flags that say what they do', () => {
  for (const command of [...commands, engineCommand, migrateCommand, ...registryCommands]) {
    const name = command.path.join(' ');
    assert.match(command.summary, /^[A-Z].*[^.]$/, name);
    assert.ok(command.usage !== '' || command.flags.length === 0, name);
    assert.ok(command.examples.length > 0, `${name} has no example`);
    for (const { command: line, does } of command.examples) {
      assert.match(line, /\bvarve\b/, name);
      assert.notEqual(does, '', name);
    }
    for (const flag of command.flags)
      if (flag.hidden !== true) assert.match(flag.description, /^\S.*[^.]$/, `${name} --${flag.name}`);
    const names = command.flags.flatMap(({ name: long, short }) => [long, ...(short ? [`-${short}`] : [])]);
    assert.equal(new Set(names).size, names.length, `${name}: a flag is there twice`);
  }
});

test('--help prints the page of a command within the width of a screen', async () => {
  const { stdout, code } = await pair.varve(['run', '--help']);
  assert.equal(code, 0);
  assert.match(stdout, /^Usage: {2}varve run \[OPTIONS\] IMAGE \[COMMAND\] \[ARG\.\.\.\]\n/);
  assert.match(stdout, /\nExamples:\n {2}# /);
  for (const line of stdout.split('\n').filter((text) => text.includes('--')))
    assert.ok(line.length <= 80 || line.startsWith('  varve'), line);
});

test('a mistyped command is met with the one that was meant', async () => {
  for (const [typed, meant] of [
    ['imagse', 'images'],
    ['pul', 'pull'],
    ['inspct', 'inspect'],
  ] as const) {
    const { stderr, code } = await pair.varve([typed]);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`did you mean '${meant}'\\?`));
  }
  assert.doesNotMatch((await pair.varve(['xyzzy'])).stderr, /did you mean/);
});

/** What bash offers for the last word. */
function offered(...words: readonly string[]): readonly string[] {
  const script = join(pair.engine.folder, 'completion.bash');
  writeFileSync(script, execFileSync(process.execPath, ['--', built.entry, 'completion', 'bash']));
  const [program, ...args] = pair.argv();
  const shell = `
    varve() { ${[program, ...args].map((word) => `'${word}'`).join(' ')} "$@"; }
    source '${script}'
    COMP_WORDS=(varve "$@"); COMP_CWORD=$#
    _varve
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync('bash', ['-c', shell, 'bash', ...words], {
    env: pair.environment(),
    encoding: 'utf8',
  });
  return output.split('\n').filter(Boolean);
}

test('bash completes commands, flags and names', () => {
  assert.deepEqual(offered('im'), ['image', 'images', 'import']);
  assert.deepEqual(offered('network', 'cr'), ['create']);
  assert.deepEqual(offered('stop', ''), ['web']);
  assert.deepEqual(offered('run', 'busy'), ['busybox:latest']);
  assert.ok(offered('run', '--det').includes('--detach'));
  assert.deepEqual(offered('network', 'inspect', 'br'), ['bridge']);
});

test('zsh and fish get their functions, other shells a refusal', async () => {
  assert.match(await pair.ok('completion', 'zsh'), /^#compdef varve\n/);
  assert.match(await pair.ok('completion', 'fish'), /^complete -c varve /);
  assert.equal((await pair.varve(['completion', 'csh'])).code, 1);
});
