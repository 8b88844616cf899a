import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lint, lintRules, parseDockerfile } from './index.ts';

/** One Dockerfile that breaks each rule, with the line that does. */
const examples: Readonly<Record<string, readonly [source: string, line: number]>> = {
  StageNameCasing: ['FROM a AS Build', 1],
  FromAsCasing: ['FROM a as build', 1],
  NoEmptyContinuation: ['FROM a\nRUN a \\\n\n b', 2],
  ConsistentInstructionCasing: ['FROM a\nRUN a\ncopy a b', 3],
  DuplicateStageName: ['FROM a AS x\nFROM b AS x', 2],
  ReservedStageName: ['FROM a AS scratch', 1],
  JSONArgsRecommended: ['FROM a\nCMD run me', 2],
  MaintainerDeprecated: ['FROM a\nMAINTAINER me', 2],
  WorkdirRelativePath: ['FROM a\nWORKDIR x\nWORKDIR /a\nWORKDIR b', 2],
  MultipleInstructionsDisallowed: ['FROM a\nCMD ["a"]\nCMD ["b"]', 2],
  LegacyKeyValueFormat: ['FROM a\nENV a b', 2],
  SecretsUsedInArgOrEnv: ['FROM a\nARG DB_PASSWORD PUBLIC_KEY', 2],
  ExposeProtoCasing: ['FROM a\nEXPOSE 80/TCP', 2],
};

for (const { name } of lintRules) {
  test(`${name} warns once, at its line, and can be skipped`, () => {
    const [source, line] = examples[name] ?? ['FROM a', 0];
    const found = lint(parseDockerfile(source));
    assert.deepEqual(
      found.map(({ rule, range }) => [rule, range.startLine]),
      [[name, line]],
    );
    assert.deepEqual(lint(parseDockerfile(`# check=skip=${name}\n${source}`)), []);
  });
}

test('a plain good Dockerfile gives no warning', () => {
  assert.deepEqual(lint(parseDockerfile('FROM a AS b\nWORKDIR /x\nRUN a\nCMD ["a"]\n')), []);
});
