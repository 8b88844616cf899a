import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Descriptor, Digest } from '../../oci/index.ts';
import { instructionOf, joinHistory } from './history.ts';

const layers: readonly Descriptor[] = ['a', 'b'].map((letter, index) => ({
  mediaType: 'application/vnd.oci.image.layer.v1.tar',
  digest: `sha256:${letter.repeat(64)}` as Digest,
  size: index + 1,
}));

test('gives every instruction that made a layer its layer', () => {
  const { rows, problem } = joinHistory(
    [{ created_by: 'COPY' }, { created_by: 'ENV', empty_layer: true }, { created_by: 'RUN' }],
    layers,
  );
  assert.deepEqual(
    rows.map(({ instruction, number, layer }) => [instruction, number, layer?.size]),
    [
      ['COPY', 1, 1],
      ['ENV', undefined, undefined],
      ['RUN', 2, 2],
    ],
  );
  assert.equal(problem, undefined);
});

test('says where history and layers do not come out even', () => {
  assert.match(joinHistory([{}, {}, {}], layers).problem ?? '', /1 more layers than/);
  const short = joinHistory([{}], layers);
  assert.match(short.problem ?? '', /does not account for the last 1/);
  assert.equal(short.rows.length, 2);
  assert.equal(joinHistory([], layers).problem, undefined);
});

test('shows instructions as a Dockerfile has them', () => {
  assert.equal(instructionOf('/bin/sh -c #(nop)  CMD ["sh"]'), 'CMD ["sh"]');
  assert.equal(instructionOf('/bin/sh -c make'), 'RUN make');
  assert.equal(instructionOf('RUN /bin/sh -c make # buildkit'), 'RUN make');
  assert.equal(instructionOf('COPY . . # buildkit'), 'COPY . .');
});
