import type { Flag } from './flags.ts';

/** What a command that makes an image of something else says of it. */
export const changeFlag: Flag = {
  name: 'change',
  short: 'c',
  type: 'list',
  value: 'instruction',
  description: 'Apply a Dockerfile instruction (CMD, ENV, …)',
};
export const messageFlag: Flag = {
  name: 'message',
  short: 'm',
  type: 'string',
  value: 'text',
  description: 'Message',
};
