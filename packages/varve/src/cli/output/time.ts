const two = (value: number): string => String(value).padStart(2, '0');

/** Abbreviation of the time zone at a moment, as Go prints it: `UTC`, `CET`. */
function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat('en-GB', { timeZoneName: 'short' }).formatToParts(date);
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? 'UTC';
}

/** A moment as Docker's listings print it (Go's Time.String): `2026-11-21 21:11:15 +0000 UTC`. */
export function goTime(date: Date, fraction = ''): string {
  const minutes = -date.getTimezoneOffset();
  const offset = `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}${two(Math.abs(minutes) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}${fraction} ${offset} ${zoneName(date)}`;
}

/** The same for a moment in RFC 3339 with any fraction, which is kept without its closing zeros. Empty for none. */
export function goTimeOf(text: string): string {
  const date = new Date(text);
  if (text === '' || Number.isNaN(date.getTime())) return '';
  const fraction = (/\.(\d+)/.exec(text)?.[1] ?? '').replace(/0+$/, '');
  return goTime(date, fraction === '' ? '' : `.${fraction}`);
}

/** A moment of whole seconds in RFC 3339 of the local time zone: `2026-11-21T21:11:15Z`. */
export function rfc3339(seconds: number): string {
  const date = new Date(seconds * 1000);
  const [day, time, offset = ''] = goTime(date).split(' ');
  return `${day}T${time}${offset === '+0000' ? 'Z' : `${offset.slice(0, 3)}:${offset.slice(3)}`}`;
}
