import { constants } from 'node:os';
import { VarveError } from '../base/index.ts';

/**
 * A signal by number or name (`9`, `KILL`, `SIGKILL`, `RTMIN+3`).
 * @throws VarveError `invalid` in Docker's words.
 */
export function parseSignal(text: string): number {
  const bad = (): VarveError =>
    new VarveError('invalid', 'INVALID_SIGNAL', `invalid signal: ${text}`, { subject: text });
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number < 1 || number > 64) throw bad();
    return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realTime) {
    // glibc keeps 32 and 33 for itself: RTMIN is 34 (signal(7)).
    const number = (realTime[1] === 'MIN' ? 34 : 64) + Number(`${realTime[2] ?? ''}${realTime[3] ?? 0}`);
    if (number < 34 || number > 64) throw bad();
    return number;
  }
  const number = (constants.signals as Record<string, number>)[`SIG${name}`];
  if (number === undefined) throw bad();
  return number;
}
