export { Maintenance, type UsageReport } from './maintenance.ts';
