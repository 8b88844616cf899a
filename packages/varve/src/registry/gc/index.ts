export { type CollectOptions, type CollectReport, type CollectorParts, collectGarbage } from './collect.ts';
export { RecentlyUsed } from './recently-used.ts';
