export { type Identity, TestAuthorities } from './certificates.ts';
export { type KeyPair, signSchema1 } from './sign-schema1.ts';
export {
  coseTime,
  type NotationChanges,
  signNotationCose,
  signNotationJws,
} from './sign-notation.ts';
