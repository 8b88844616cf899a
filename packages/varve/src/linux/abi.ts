import { arch } from 'node:process';
import { declare } from './libc.ts';

const X32_SYSCALL_BIT = 0x40000000;
const GETPID = 39;

let x32: boolean | undefined;

/** True when the kernel executes x32 programs (syscall(2)): hardly any does, and each architecture of a seccomp filter costs milliseconds. */
export function kernelHasX32(): boolean {
  if (arch !== 'x64') return false;
  x32 ??= declare<(nr: number) => number>('long syscall(long nr)')(X32_SYSCALL_BIT | GETPID) > 0;
  return x32;
}
