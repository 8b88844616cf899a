/** A value from a signature as a reason may show it: quoted and short, whatever it is. */
export function quote(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : 'unknown';
}
