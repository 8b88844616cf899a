import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { VarveError } from '../base/index.ts';
import { parseDockerfile, parseTrigger } from './index.ts';

const testdata = join(import.meta.dirname, 'testdata');

for (const name of readdirSync(testdata)) {
  test(`reads testdata/${name}`, () => {
    const source = readFileSync(join(testdata, name, 'Dockerfile'), 'utf8');
    const expected: unknown = JSON.parse(readFileSync(join(testdata, name, 'expected.json'), 'utf8'));
    assert.deepEqual(JSON.parse(JSON.stringify(parseDockerfile(source))), expected);
  });
}

const broken: readonly (readonly [source: string, line: number, message: string])[] = [
  ['', 1, 'file with no instructions'],
  ['# only a comment\n', 1, 'file with no instructions'],
  ['FROM a\n\nFRUM b', 3, 'unknown instruction: FRUM (did you mean FROM?)'],
  ['FROM a\nbogus', 2, 'unknown instruction: bogus'],
  ['RUN x', 1, 'no build stage in current context'],
  ['FROM a b', 1, 'FROM requires either one or three arguments'],
  [
    'FROM a AS 1x',
    1,
    'invalid name for build stage: "1x", name can\'t start with a number or contain symbols',
  ],
  ['FROM a\nENV x', 2, 'ENV must have two arguments'],
  ['FROM a\nENV x=1 y', 2, 'Syntax error - can\'t find = in "y". Must be of the form: name=value'],
  ['FROM a\nLABEL =x', 2, 'LABEL names can not be blank'],
  [
    'FROM a\nCOPY x',
    2,
    'COPY requires at least two arguments, but only one was provided. Destination could not be determined',
  ],
  ['FROM a\nCOPY --form=b x y', 2, 'unknown flag: --form (did you mean from?)'],
  ['FROM a\nCOPY --from=b --from=c x y', 2, 'duplicate flag specified: --from'],
  ['FROM a\nCOPY --from x y', 2, 'missing a value on flag: --from'],
  ['FROM a\nCOPY --link=maybe x y', 2, 'expecting boolean value for flag --link, not: maybe'],
  ['FROM a\nCOPY a <<EOF\nx\nEOF', 2, 'COPY cannot accept a heredoc as a destination'],
  ['FROM a\nRUN <<EOF\nx', 2, 'unterminated heredoc'],
  ['FROM a\nCMD ["a", 1]', 2, 'when using JSON array syntax, arrays must be comprised of strings only'],
  ['FROM a\nSHELL bash', 2, 'SHELL requires the arguments to be in JSON form'],
  ['FROM a\nHEALTHCHECK TCP', 2, 'Unknown type "TCP" in HEALTHCHECK (try CMD)'],
  ['FROM a\nHEALTHCHECK --interval=1us CMD x', 2, 'Interval "interval" cannot be less than 1ms'],
  ['FROM a\nONBUILD ONBUILD RUN x', 2, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
  ['FROM a\nONBUILD FROM x', 2, "FROM isn't allowed as an ONBUILD trigger"],
  [
    'FROM a\nONBUILD COPY x',
    2,
    'COPY requires at least two arguments, but only one was provided. Destination could not be determined',
  ],
  ['FROM a\nRUN --mount=type=bnd,target=/x y', 2, 'unsupported mount type "bnd"'],
  [
    'FROM a\nRUN --mount=type=bind,trget=/x y',
    2,
    "unexpected key 'trget' in 'trget=/x' (did you mean target?)",
  ],
  ['FROM a\nUSER', 2, 'USER requires exactly one argument'],
  ['# escape=x\nFROM a', 1, "invalid escape token 'x' does not match ` or \\"],
  ['# escape=`\n# escape=`\nFROM a', 2, 'only one escape parser directive can be used'],
];

for (const [source, line, message] of broken) {
  test(`refuses ${JSON.stringify(source)}`, () => {
    assert.throws(
      () => parseDockerfile(source),
      (error: unknown) => {
        assert.ok(VarveError.is(error));
        assert.equal(error.message, `dockerfile parse error on line ${line}: ${message}`);
        assert.deepEqual([error.kind, error.data?.['line']], ['invalid', line]);
        return true;
      },
    );
  });
}

test('reads the trigger that an image kept, here-document included', () => {
  const onbuild = parseDockerfile('FROM a\nONBUILD RUN <<EOF\nx\nEOF\n').stages[0]?.instructions[0];
  assert.ok(onbuild?.kind === 'ONBUILD');
  const run = parseTrigger(onbuild.trigger);
  assert.ok(run.kind === 'RUN');
  assert.equal(run.heredocs[0]?.content, 'x\n');
  assert.throws(() => parseTrigger('FROM x'), { code: 'DOCKERFILE_INVALID' });
});

test('fails on any text with its own error and a line, never otherwise', () => {
  const piece = fc.constantFrom(
    'FROM a',
    'RUN ',
    'COPY ',
    'ONBUILD ',
    'ENV ',
    'HEALTHCHECK ',
    '<<E',
    'E',
    '\\',
    '\n',
    '"',
    "'",
    '=',
    '--x=y',
    '[',
    ']',
    ',',
    '# escape=`',
    '\t',
    '$',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 4 }))), (pieces) => {
      try {
        parseDockerfile(`FROM a\n${pieces.join('')}`);
      } catch (error) {
        assert.ok(VarveError.is(error), String(error));
        assert.equal(typeof error.data?.['line'], 'number');
      }
    }),
  );
});
