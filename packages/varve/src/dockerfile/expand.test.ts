import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { expandWord } from './index.ts';

const variables = {
  A: 'value',
  EMPTY: '',
  PATHS: '/usr/local/bin',
  FILE: 'archive.tar.gz',
  WORDS: 'one two',
  STAR: 'a*b?c',
  U: 'ünïcode',
  _x1: 'under',
};

const table: readonly (readonly [word: string, text: string])[] = [
  ['plain', 'plain'],
  ['$A', 'value'],
  ['${A}', 'value'],
  ['x${A}y$A.z', 'xvalueyvalue.z'],
  ['$_x1', 'under'],
  ['$MISSING', ''],
  ['$', '$'],
  ['a$.b', 'a$.b'],
  ['$1x', 'x'],
  ['$12', ''],
  ['$@$*$#$?$-$$$!', ''],
  ["'$A'", '$A'],
  ['"$A"', 'value'],
  ['"it\'s"', "it's"],
  ['\'say "hi"\'', 'say "hi"'],
  ['\\$A', '$A'],
  ['"\\$A"', '$A'],
  ['"a\\b"', 'a\\b'],
  ['a\\b', 'ab'],
  ["'a\\b'", 'a\\b'],
  ['end\\', 'end'],
  ['${A:-w}', 'value'],
  ['${EMPTY:-w}', 'w'],
  ['${EMPTY-w}', ''],
  ['${MISSING-w}', 'w'],
  ['${MISSING:-${A}x}', 'valuex'],
  ['${MISSING:-"a }b"}', 'a }b'],
  ['${A:+w}', 'w'],
  ['${EMPTY:+w}', ''],
  ['${EMPTY+w}', 'w'],
  ['${MISSING+w}', ''],
  ['${A:?no}', 'value'],
  ['${EMPTY?no}', ''],
  ['${PATHS#*/}', 'usr/local/bin'],
  ['${PATHS##*/}', 'bin'],
  ['${PATHS%/*}', '/usr/local'],
  ['${PATHS%%/*}', ''],
  ['${FILE%.*}', 'archive.tar'],
  ['${FILE%%.*}', 'archive'],
  ['${FILE#?r}', 'chive.tar.gz'],
  ['${FILE#nothing}', 'archive.tar.gz'],
  ['${STAR#a\\*}', 'b?c'],
  ['${STAR%\\?c}', 'a*b'],
  ['${PATHS/\\//-}', '-usr/local/bin'],
  ['${PATHS//\\//-}', '-usr-local-bin'],
  ['${FILE/.*/}', 'archive'],
  ['${FILE//a/A}', 'Archive.tAr.gz'],
  ['${A/x/y}', 'value'],
  ['${A///-}', '-v-a-l-u-e-'],
  ['${U#?n}', 'ïcode'],
];

for (const [word, text] of table) {
  test(`expands ${word}`, () => assert.equal(expandWord(word, variables).text, text));
}

const broken: readonly (readonly [word: string, message: string])[] = [
  ['${', "syntax error: missing '}'"],
  ['${A', "syntax error: missing '}'"],
  ['${}', 'syntax error: bad substitution'],
  ['${:x}', 'syntax error: bad substitution'],
  ['${A:-x', "syntax error: missing '}'"],
  ['${A!}', 'unsupported modifier (!) in substitution'],
  ['${A:#x}', 'unsupported modifier (:#) in substitution'],
  ['${A/x}', "syntax error: missing '/' in ${}"],
  ['${MISSING:?give one}', 'MISSING: give one'],
  ['${MISSING?}', 'MISSING: is not allowed to be unset'],
  ['${EMPTY:?}', 'EMPTY: is not allowed to be empty'],
  ["'open", 'unexpected end of statement while looking for matching single-quote'],
  ['"open', 'unexpected end of statement while looking for matching double-quote'],
  ['${A#\\x}', "invalid pattern (\\x) in substitution: invalid escape '\\x'"],
  ['${A:-'.repeat(20000), 'substitutions are nested too deep'],
];

for (const [word, message] of broken) {
  test(`refuses ${word.slice(0, 40)}`, () => {
    assert.throws(() => expandWord(word, variables), {
      kind: 'invalid',
      message: `failed to process ${JSON.stringify(word)}: ${message}`,
    });
  });
}

test('splits after the expansion, not inside quotes', () => {
  assert.deepEqual(expandWord('$WORDS "$WORDS" a\\ b', variables).words, ['one', 'two', 'one two', 'a b']);
});

test('leaves quotes, escapes and unset names in place when asked to', () => {
  const options = { keepQuotes: true, keepEscapes: true, keepUnset: true };
  const word = '"$NO" \'x\' \\y ${NO:-z} ${NO}';
  assert.equal(expandWord(word, variables, options).text, word);
});

test('expands only variables in the body of a here-document', () => {
  assert.equal(expandWord('it\'s "$A" \\$A', variables, { ignoreQuotes: true }).text, 'it\'s "value" $A');
});

test('uses the backquote as escape when the directive says so', () => {
  assert.equal(expandWord('c:\\$A`$A', variables, { escape: '`' }).text, 'c:\\value$A');
});

test('tells which names were used and which are missing', () => {
  const { used, missing } = expandWord('$A ${NO:-$EMPTY}', variables);
  assert.deepEqual([[...used], [...missing]], [['A', 'EMPTY'], ['NO']]);
});

test('gives back what was single-quoted, whatever it is', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const plain = text.replaceAll("'", '');
      assert.equal(expandWord(`'${plain}'`, variables).text, plain);
    }),
  );
});

test('a prefix and the rest make up the value', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', 'b', '.', '/') }), (value) => {
      const word = (text: string): string => expandWord(text, { V: value }).text;
      assert.equal(word('${V%%.*}') + (value.includes('.') ? `.${word('${V#*.}')}` : ''), value);
    }),
  );
});
