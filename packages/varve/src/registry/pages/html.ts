/** Markup that is safe to send. Only {@link html} makes it, so that no text gets into a page unescaped. */
export class Html {
  readonly #text: string;

  constructor(strings: readonly string[], values: readonly Content[]) {
    let text = strings[0] ?? '';
    for (const [index, value] of values.entries()) text += render(value) + (strings[index + 1] ?? '');
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }
}

/** What may stand in a template: text is escaped, nothing at all is left out. */
export type Content = Html | string | number | undefined | false | readonly Content[];

/**
 * A template whose values are escaped for where HTML allows text: between tags, and within quoted attributes. No value
 * may stand in a tag's or an attribute's name, without quotes, or in a style or script.
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(strings, values);
}

function render(value: Content): string {
  if (value === undefined || value === false) return '';
  if (value instanceof Html) return value.toString();
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return value.map(render).join('');
}

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

// What has no glyph, or turns the direction of what follows (CVE-2021-42574), is shown by its number.
const invisible = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text as HTML shows it, letter by letter. */
function escapeHtml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[&<>"']/g, (character) => escapes[character] as string)
    .replace(invisible, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** At most `limit` characters, with a sign where something is left out. */
export function cut(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
