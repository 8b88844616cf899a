import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BuildArgs, globalScope, parseDockerfile, platformArgs, StageScope } from './index.ts';

const amd64 = { os: 'linux', architecture: 'amd64' };
const automatic = platformArgs(amd64, { os: 'linux', architecture: 'arm', variant: 'v7' });

function scopeOf(source: string, buildArgs: BuildArgs = {}): StageScope {
  const { globalArgs, stages } = parseDockerfile(source);
  const scope = new StageScope(globalScope(globalArgs, automatic, buildArgs, {}), buildArgs, {});
  for (const instruction of stages[0]?.instructions ?? []) {
    if (instruction.kind === 'ARG') scope.declare(instruction);
    if (instruction.kind === 'ENV') scope.assign(instruction);
  }
  return scope;
}

test('a global argument is seen only after it is declared again', () => {
  assert.equal(scopeOf('ARG V=1\nFROM a\n').expand('$V'), '');
  assert.equal(scopeOf('ARG V=1\nFROM a\nARG V').expand('$V'), '1');
  assert.equal(scopeOf('ARG V=1\nFROM a\nARG V=2').expand('$V'), '2');
  assert.equal(scopeOf('ARG V=1\nFROM a\nARG V=2', { V: '3' }).expand('$V'), '3');
  assert.equal(scopeOf('ARG V=1\nFROM a\nARG V=2', { V: null }).expand('$V'), '2');
});

test('the platforms are global arguments', () => {
  assert.equal(
    scopeOf('FROM a\nARG TARGETPLATFORM BUILDARCH').expand('$TARGETPLATFORM $BUILDARCH'),
    'linux/arm/v7 amd64',
  );
});

test('pairs of one ENV see what was before it, arguments of one ARG see each other', () => {
  const scope = scopeOf('FROM a\nENV a=1\nENV a=2 b=$a\nARG x=1 y=$x');
  assert.deepEqual(scope.env, ['a=2', 'b=1']);
  assert.deepEqual(scope.runArgs, ['x=1', 'y=1']);
});

test('ENV wins over ARG, and a hidden argument does not reach RUN', () => {
  const scope = scopeOf('FROM a\nARG v=1\nENV v=2\nARG v=3');
  assert.equal(scope.expand('$v'), '2');
  assert.deepEqual(scope.runArgs, []);
});

test('proxy arguments need no ARG and stay out of the arguments', () => {
  const scope = scopeOf('FROM a\n', { http_proxy: 'http://p', OTHER: 'x' });
  assert.deepEqual([scope.proxyEnv, scope.runArgs], [['http_proxy=http://p'], []]);
  assert.deepEqual(scopeOf('FROM a\nARG http_proxy', { http_proxy: 'p' }).runArgs, ['http_proxy=p']);
});

test('a stage built on another sees its arguments', () => {
  assert.equal(scopeOf('FROM a\nARG v=1').child().expand('$v'), '1');
});
