export { type KeyPair, signSchema1 } from './sign-schema1.ts';
