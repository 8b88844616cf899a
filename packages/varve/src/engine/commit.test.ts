import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyChanges } from './commit.ts';

test('applies Dockerfile instructions to a configuration', () => {
  const config = applyChanges({ Env: ['A=1'], Cmd: ['old'] }, [
    'CMD ["new", "arg"]',
    'ENV B=2 C=3\nEXPOSE 80',
    'LABEL l=v',
    'USER app',
    'WORKDIR /srv',
    'VOLUME /data',
    'ONBUILD RUN true',
  ]);
  assert.deepEqual(config, {
    Env: ['A=1', 'B=2', 'C=3'],
    Cmd: ['new', 'arg'],
    ExposedPorts: { '80/tcp': {} },
    Labels: { l: 'v' },
    User: 'app',
    WorkingDir: '/srv',
    Volumes: { '/data': {} },
    OnBuild: ['RUN true'],
  });
});

test('refuses what changes files or is no instruction', () => {
  for (const bad of ['RUN true', 'COPY a b', 'FROM x', 'NOPE', '=']) {
    assert.throws(() => applyChanges({}, [bad]), /is not a valid change command/, bad);
  }
});
