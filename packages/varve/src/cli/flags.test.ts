import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Flag, parseFlags } from './flags.ts';

const flags: readonly Flag[] = [
  { name: 'interactive', short: 'i', type: 'boolean', description: '' },
  { name: 'tty', short: 't', type: 'boolean', description: '' },
  { name: 'env', short: 'e', type: 'list', description: '' },
  { name: 'publish', short: 'p', type: 'list', description: '' },
  { name: 'name', type: 'string', description: '' },
  { name: 'cpus', type: 'number', description: '' },
  { name: 'rm', type: 'boolean', description: '' },
];

test('reads joined short flags, attached values and values after =', () => {
  const { flags: values, arguments: rest } = parseFlags(
    flags,
    [
      '-it',
      '-p80:80',
      '-p',
      '81:81',
      '-e',
      'A=1',
      '--env=B=2',
      '--rm=false',
      '--name',
      'x',
      '--cpus=1.5',
      'image',
      'ls',
    ],
    { interspersed: false },
  );
  assert.deepEqual(
    [values.boolean('interactive'), values.boolean('tty'), values.boolean('rm')],
    [true, true, false],
  );
  assert.deepEqual(values.list('publish'), ['80:80', '81:81']);
  assert.deepEqual(values.list('env'), ['A=1', 'B=2']);
  assert.equal(values.string('name'), 'x');
  assert.equal(values.number('cpus'), 1.5);
  assert.deepEqual(rest, ['image', 'ls']);
});

test('leaves flags after the first argument alone where the command says so', () => {
  assert.deepEqual(parseFlags(flags, ['image', '-t', '--rm'], { interspersed: false }).arguments, [
    'image',
    '-t',
    '--rm',
  ]);
  const mixed = parseFlags(flags, ['image', '-t', '--', '--rm']);
  assert.deepEqual(mixed.arguments, ['image', '--rm']);
  assert.equal(mixed.flags.boolean('tty'), true);
});

test('refuses what it does not know in the words of Docker', () => {
  assert.throws(() => parseFlags(flags, ['--nope']), { message: 'unknown flag: --nope' });
  assert.throws(() => parseFlags(flags, ['-x']), { message: "unknown shorthand flag: 'x' in -x" });
  assert.throws(() => parseFlags(flags, ['--name']), { message: 'flag needs an argument: --name' });
  assert.throws(() => parseFlags(flags, ['--rm=maybe']), {
    message: /invalid argument "maybe" for "--rm" flag/,
  });
});
