import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cut, html } from './html.ts';

test('escapes every value, in text and in attributes', () => {
  const hostile = `<b a="x" c='y'>&`;
  assert.equal(
    html`<p title="${hostile}">${hostile}</p>`.toString(),
    '<p title="&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;">&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;</p>',
  );
});

test('no text gets markup, a control character or a lone surrogate into a page', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = html`${text}`.toString();
      assert.doesNotMatch(shown, /[<>"']|&(?!(?:amp|lt|gt|quot|#39);)/);
      assert.doesNotMatch(shown, /(?![\t\n\r])\p{Cc}/u);
      assert.ok(shown.isWellFormed());
    }),
  );
});

test('takes markup of its own, lists, numbers, and leaves out what is not there', () => {
  const rows = ['a', '<'].map((text) => html`<li>${text}</li>`);
  assert.equal(html`${rows}${undefined}${false}${0}`.toString(), '<li>a</li><li>&lt;</li>0');
});

test('shows what turns the direction of text, or has no glyph, by its number', () => {
  assert.equal(html`${'a\u202eb\u0000\u{e0041}'}`.toString(), 'a\\u{202e}b\\u{0}\\u{e0041}');
});

test('what only looks like markup is text', () => {
  const forged = { toString: () => '<script>' } as unknown as string;
  assert.throws(() => html`${forged}`.toString());
});

test('cuts long text with a sign', () => {
  assert.deepEqual([cut('abc', 3), cut('abcd', 3)], ['abc', 'abc…']);
});
