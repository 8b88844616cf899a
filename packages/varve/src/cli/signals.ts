import { constants } from 'node:os';

/** Signals by name, as the kernel numbers them here. */
export const signalNumbers: Readonly<Record<string, number>> = constants.signals;
