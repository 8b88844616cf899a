export { limitsOf, type QuotaRule } from './limits.ts';
export { Quota, Reservation } from './quota.ts';
