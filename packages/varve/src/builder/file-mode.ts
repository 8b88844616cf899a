import { VarveError } from '../base/index.ts';

/** New permission bits from the old ones. */
export type ModeChange = (mode: number, directory: boolean) => number;

const masks: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007 };
const bits: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111 };

function bad(text: string): VarveError {
  return new VarveError('invalid', 'INVALID_MODE', `invalid chmod parameter: '${text}'`, {
    subject: text,
    hint: 'give octal digits such as 0755, or a symbolic mode such as u=rwX,go=rX',
  });
}

/**
 * Reads `--chmod`: octal digits, or the symbolic form of chmod(1).
 * @throws VarveError `INVALID_MODE`.
 */
export function parseMode(text: string): ModeChange {
  if (/^[0-7]{1,4}$|^0[0-7]{4}$/.test(text)) return () => Number.parseInt(text, 8);
  const changes = text.split(',').map((part) => parseClause(part, text));
  return (mode, directory) => changes.reduce((current, change) => change(current, directory), mode);
}

function parseClause(part: string, whole: string): ModeChange {
  const match = /^([ugoa]*)((?:[-+=][rwxXst]*)+)$/.exec(part);
  if (!match) throw bad(whole);
  const who = match[1] === '' || match[1]?.includes('a') ? 'ugo' : (match[1] as string);
  const mask = Array.from(who).reduce((sum, letter) => sum | (masks[letter] as number), 0);
  const actions = [...(match[2] as string).matchAll(/([-+=])([rwxXst]*)/g)];
  return (mode, directory) => {
    let current = mode;
    for (const [, operator, letters = ''] of actions) {
      let value = 0;
      for (const letter of letters) {
        if (letter === 'X') value |= directory || (current & 0o111) !== 0 ? 0o111 : 0;
        else if (letter === 's') value |= (who.includes('u') ? 0o4000 : 0) | (who.includes('g') ? 0o2000 : 0);
        else if (letter === 't') value |= 0o1000;
        else value |= bits[letter] as number;
      }
      // Set-id and sticky bits are named by their letters, whoever they are for.
      value &= mask | (letters.includes('t') ? 0o1000 : 0);
      if (operator === '+') current |= value;
      else if (operator === '-') current &= ~value;
      else current = (current & ~mask) | value;
    }
    return current;
  };
}
