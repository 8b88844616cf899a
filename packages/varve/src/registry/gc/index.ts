export { type CollectOptions, type CollectorParts, type CollectReport, collectGarbage } from './collect.ts';
export { RecentlyUsed } from './recently-used.ts';
