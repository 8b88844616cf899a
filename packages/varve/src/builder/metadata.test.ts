import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDockerfile, StageScope } from '../dockerfile/index.ts';
import type { ContainerConfig } from '../oci/index.ts';
import { applyMetadata, exposedPorts, joinWorkdir, nopText } from './metadata.ts';

interface Result {
  readonly config: ContainerConfig;
  readonly history: readonly string[];
}

/** Applies the instructions of a stage to a config, as a build does. */
function apply(lines: string, base: ContainerConfig = {}): Result {
  const scope = new StageScope({}, {}, {});
  scope.inherit(base.Env ?? []);
  let config = base;
  let commandSet = false;
  const history: string[] = [];
  for (const instruction of parseDockerfile(`FROM x\n${lines}`).stages[0]?.instructions ?? []) {
    const change = applyMetadata({ config, scope, commandSet }, instruction);
    assert.ok(change, instruction.kind);
    history.push(nopText(change.config, change.comment));
    commandSet ||= change.setsCommand === true;
    config = change.config;
  }
  return { config, history };
}

const histories: readonly (readonly [line: string, createdBy: string])[] = [
  ['CMD ["./run.sh"]', '/bin/sh -c #(nop)  CMD ["./run.sh"]'],
  ['CMD a b', '/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "a b"]'],
  ['ENTRYPOINT ["x", "y z"]', '/bin/sh -c #(nop)  ENTRYPOINT ["x" "y z"]'],
  ['ENV a=1 b="2 3"', '/bin/sh -c #(nop)  ENV a=1 b=2 3'],
  ['LABEL a="b c"', '/bin/sh -c #(nop)  LABEL a=b c'],
  ['EXPOSE 90 80/udp', '/bin/sh -c #(nop)  EXPOSE 80/udp 90'],
  ['VOLUME /a /b', '/bin/sh -c #(nop)  VOLUME [/a /b]'],
  ['USER app', '/bin/sh -c #(nop)  USER app'],
  ['ARG a=1 b', '/bin/sh -c #(nop)  ARG a=1 b'],
  ['STOPSIGNAL SIGTERM', '/bin/sh -c #(nop)  STOPSIGNAL SIGTERM'],
  ['SHELL ["/bin/bash", "-c"]', '/bin/bash -c #(nop)  SHELL [/bin/bash -c]'],
  ['ONBUILD RUN x', '/bin/sh -c #(nop)  ONBUILD RUN x'],
  ['MAINTAINER me', '/bin/sh -c #(nop)  MAINTAINER me'],
  [
    'HEALTHCHECK --interval=5m --timeout=1500ms --retries=3 CMD ["x"]',
    '/bin/sh -c #(nop)  HEALTHCHECK &{["CMD" "x"] "5m0s" "1.5s" "0s" "0s" \'\\x03\'}',
  ],
];

for (const [line, createdBy] of histories) {
  test(`history of ${line}`, () => assert.deepEqual(apply(line).history, [createdBy]));
}

test('ENTRYPOINT drops an inherited command, not one of the same stage', () => {
  const base = { Cmd: ['old'] };
  assert.equal(apply('ENTRYPOINT ["e"]', base).config.Cmd, undefined);
  assert.deepEqual(apply('CMD ["new"]\nENTRYPOINT ["e"]', base).config.Cmd, ['new']);
});

test('SHELL is used by what follows', () => {
  const { config, history } = apply('SHELL ["bash", "-ec"]\nCMD a');
  assert.deepEqual(config.Cmd, ['bash', '-ec', 'a']);
  assert.equal(history[1], 'bash -ec #(nop)  CMD ["bash" "-ec" "a"]');
});

test('lists are added to those of the base', () => {
  const base = {
    Env: ['a=1', 'b=2'],
    Labels: { x: '1' },
    ExposedPorts: { '80/tcp': {} },
    OnBuild: ['RUN a'],
  };
  const { config } = apply('ENV a=9 c=$b\nLABEL y=2\nEXPOSE 81\nVOLUME /v\nONBUILD RUN b\nUSER u', base);
  assert.deepEqual(config, {
    Env: ['a=9', 'b=2', 'c=2'],
    Labels: { x: '1', y: '2' },
    ExposedPorts: { '80/tcp': {}, '81/tcp': {} },
    OnBuild: ['RUN a', 'RUN b'],
    Volumes: { '/v': {} },
    User: 'u',
  });
});

test('ports expand to single ones', () => {
  assert.deepEqual(exposedPorts('8000-8002/UDP'), ['8000/udp', '8001/udp', '8002/udp']);
  assert.deepEqual(exposedPorts('127.0.0.1:80:90'), ['90/tcp']);
  for (const bad of ['x', '80/xyz', '90-80', '65536', '80/tcp/x', '']) {
    assert.throws(() => exposedPorts(bad), { code: 'INVALID_PORT' }, bad);
  }
});

test('refuses a signal that does not exist', () => {
  for (const signal of ['SIGKILL', 'kill', '9', 'SIGRTMIN+3']) apply(`STOPSIGNAL ${signal}`);
  assert.throws(() => apply('STOPSIGNAL SIGNONE'), { message: 'Invalid signal: SIGNONE' });
});

test('working folders add up', () => {
  assert.equal(joinWorkdir(undefined, 'a'), '/a');
  assert.equal(joinWorkdir('/a', 'b/../c/'), '/a/c');
  assert.equal(joinWorkdir('/a', '/d'), '/d');
  assert.equal(joinWorkdir('/a', '../../../x'), '/x');
});
