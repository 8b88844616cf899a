export { type Schema, State } from './state.ts';
