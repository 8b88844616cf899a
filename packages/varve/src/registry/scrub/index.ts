export { type ScrubFinding, type ScrubOptions, type ScrubReport, scrub } from './scrub.ts';
