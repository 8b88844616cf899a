import { randomInt } from 'node:crypto';
import { VarveError } from '../base/index.ts';

const adjectives =
  'amber ample awake bold brave brisk calm candid cheerful clear clever cosmic curious daring deep eager early easy elated fair fearless fervent fine focused fond frosty gentle glad golden graceful grand happy hardy honest hopeful humble jolly keen kind lively lucid loyal lucky mellow merry mighty modest nimble noble patient peaceful placid plucky polite proud quick quiet quirky radiant ready relaxed serene sharp silent sincere sleepy smart snug sober spry stable steady stoic sunny sure swift tender thirsty tidy tranquil trusting upbeat vivid warm wise witty wonderful zealous zen'.split(
    ' ',
  );

const surnames =
  'abel agnesi anning archimedes aryabhata babbage banach bardeen bernoulli bohr boole born bose boyle brahe brown cantor carson cauchy chandrasekhar clarke copernicus cray curie dalton darwin davy dijkstra dirac edison einstein elion euclid euler faraday fermat fermi feynman fleming fourier franklin galileo galois gauss germain goldberg hamilton haslett heisenberg herschel hertz hilbert hodgkin hooke hopper hubble hypatia jackson jemison johnson joliot kalam kepler kirch knuth kovalevskaya lagrange lamarr lamport laplace leavitt leibniz liskov lovelace lumiere mayer maxwell mccarthy mcclintock meitner mendel mendeleev mirzakhani moore morse napier nash newton nightingale nobel noether noyce ohm pascal pasteur pauli perlman pike planck poincare ptolemy ramanujan raman riemann ritchie rosalind rubin rutherford sagan sanger shannon sinoussi snyder swirles tesla thompson torvalds turing villani volta wescoff wiles wilson wing wozniak wright wu yalow yonath'.split(
    ' ',
  );

/**
 * A name nobody asked for: `adjective_surname`, with a digit after ten collisions, as Docker makes them.
 * @param taken tells whether a name is in use.
 */
export function randomName(taken: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${adjectives[randomInt(adjectives.length)]}_${surnames[randomInt(surnames.length)]}`;
    const candidate = attempt < 10 ? name : `${name}${randomInt(10 ** Math.min(attempt - 9, 9))}`;
    if (!taken(candidate)) return candidate;
  }
}

/**
 * Checks a container name and takes its leading slash off.
 * @throws VarveError `invalid` in Docker's words.
 */
export function parseContainerName(text: string): string {
  const name = text.startsWith('/') ? text.slice(1) : text;
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name)) return name;
  throw new VarveError(
    'invalid',
    'INVALID_CONTAINER_NAME',
    `Invalid container name (${text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`,
    { subject: text },
  );
}
