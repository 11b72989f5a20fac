export { fromHub } from './from-hub.ts';
export type { HubOptions, HubProgress } from './options.ts';
