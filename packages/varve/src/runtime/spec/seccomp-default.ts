/**
 * Docker's default seccomp profile as data: what a container's processes may ask of the kernel. Everything absent gives
 * EPERM. The set is that of moby's documented default (docs.docker.com/engine/security/seccomp), without io_uring as
 * there since 2023; here grouped by what the calls are for.
 */

/** One rule: these calls are allowed, when the conditions hold. */
export interface SeccompEntry {
  readonly names: readonly string[];
  /** Needs all of these capabilities. */
  readonly capabilities?: readonly string[];
  /** Applies only without this capability. */
  readonly withoutCapability?: string;
  /** Node's names of the processors it applies to. */
  readonly processors?: readonly string[];
  readonly notProcessors?: readonly string[];
  /** Condition on one argument. */
  readonly argument?: {
    readonly index: number;
    readonly value: number;
    readonly op: string;
    readonly valueTwo?: number;
  };
  /** Refused with this errno instead of allowed. */
  readonly errno?: number;
}

const words = (text: string): readonly string[] => text.trim().split(/\s+/);

const files = words(`
  access faccessat faccessat2 open openat openat2 creat close close_range read write readv writev pread64 pwrite64
  preadv pwritev preadv2 pwritev2 lseek _llseek truncate truncate64 ftruncate ftruncate64 fallocate fadvise64
  fadvise64_64 readahead copy_file_range sendfile sendfile64 splice tee vmsplice fcntl fcntl64 flock ioctl dup dup2
  dup3 fsync fdatasync sync syncfs sync_file_range stat stat64 lstat lstat64 fstat fstat64 fstatat64 newfstatat statx
  statfs statfs64 fstatfs fstatfs64 statmount listmount getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir
  mknod mknodat link linkat symlink symlinkat readlink readlinkat unlink unlinkat rename renameat renameat2 chmod
  fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 umask utime utimes utimensat
  utimensat_time64 futimesat name_to_handle_at getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr
  setxattrat listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat
  inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark pipe pipe2
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64`);

const memory = words(`
  brk mmap mmap2 munmap mremap mprotect madvise mincore mlock mlock2 munlock mlockall munlockall msync mseal
  remap_file_pages memfd_create memfd_secret membarrier cachestat map_shadow_stack pkey_alloc pkey_free pkey_mprotect
  process_mrelease`);

const processes = words(`
  execve execveat exit exit_group fork vfork wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid getsid
  setsid getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid
  getresgid32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32 setresgid
  setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 getgroups getgroups32 setgroups setgroups32 capget capset prctl
  getpriority setpriority ioprio_get ioprio_set getrlimit setrlimit ugetrlimit prlimit64 getrusage times
  sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam sched_getscheduler
  sched_setscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_rr_get_interval_time64
  sched_yield getcpu set_tid_address set_robust_list get_robust_list get_thread_area set_thread_area rseq
  restart_syscall pidfd_open seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self uname sysinfo
  getrandom riscv_hwprobe uretprobe`);

const signals = words(`
  kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 rt_sigqueueinfo rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn signalfd signalfd4 pause
  pidfd_send_signal alarm`);

const waiting = words(`
  futex futex_time64 futex_wait futex_wake futex_waitv futex_requeue poll ppoll ppoll_time64 select _newselect
  pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait
  epoll_pwait2 eventfd eventfd2 nanosleep`);

const clocks = words(`
  time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep
  clock_nanosleep_time64 clock_adjtime clock_adjtime64 adjtimex getitimer setitimer timer_create timer_delete
  timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
  timerfd_gettime64 timerfd_settime timerfd_settime64`);

const sockets = words(`
  socketpair socketcall bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt shutdown send
  sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64`);

const systemV = words(`
  ipc msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget mq_open
  mq_unlink mq_notify mq_getsetattr mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64`);

// personality(2): the Linux default, UNAME26, ADDR_NO_RANDOMIZE pairs that debuggers use, and the query.
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

// Every CLONE_NEW* flag: without CAP_SYS_ADMIN none may be set.
const NAMESPACE_FLAGS = 0x7e020000;
const AF_ALG = 38;
const AF_NFC = 39;
const AF_VSOCK = 40;
const ENOSYS = 38;

export const defaultSeccompEntries: readonly SeccompEntry[] = [
  { names: [...files, ...memory, ...processes, ...signals, ...waiting, ...clocks, ...sockets, ...systemV] },
  // Allowed since kernel 4.8, where tracing cannot bypass the filter any more.
  { names: ['process_vm_readv', 'process_vm_writev', 'ptrace'] },
  // Not the kernel's crypto sockets, a steady source of holes, nor those to a virtual machine's host, past every network rule.
  { names: ['socket'], argument: { index: 0, value: AF_ALG, op: 'SCMP_CMP_LT' } },
  { names: ['socket'], argument: { index: 0, value: AF_NFC, op: 'SCMP_CMP_EQ' } },
  { names: ['socket'], argument: { index: 0, value: AF_VSOCK, op: 'SCMP_CMP_GT' } },
  ...personalities.map((value) => ({
    names: ['personality'],
    argument: { index: 0, value, op: 'SCMP_CMP_EQ' },
  })),
  {
    names: words('arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls'),
    processors: ['arm', 'arm64'],
  },
  { names: ['arch_prctl', 'modify_ldt'], processors: ['x64'] },
  { names: ['riscv_flush_icache'], processors: ['riscv64'] },
  { names: words('s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr'), processors: ['s390x'] },
  { names: ['sync_file_range2', 'swapcontext'], processors: ['ppc64'] },
  { names: ['open_by_handle_at'], capabilities: ['CAP_DAC_READ_SEARCH'] },
  {
    names: words(`
      bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
      lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd
      setdomainname sethostname setns syslog umount umount2 unshare`),
    capabilities: ['CAP_SYS_ADMIN'],
  },
  {
    names: ['clone'],
    withoutCapability: 'CAP_SYS_ADMIN',
    notProcessors: ['s390x'],
    argument: { index: 0, value: NAMESPACE_FLAGS, op: 'SCMP_CMP_MASKED_EQ' },
  },
  {
    // There the flags are the second argument.
    names: ['clone'],
    withoutCapability: 'CAP_SYS_ADMIN',
    processors: ['s390x'],
    argument: { index: 1, value: NAMESPACE_FLAGS, op: 'SCMP_CMP_MASKED_EQ' },
  },
  // Its flags are behind a pointer that a filter cannot read; ENOSYS makes the C library fall back to clone.
  { names: ['clone3'], withoutCapability: 'CAP_SYS_ADMIN', errno: ENOSYS },
  { names: ['reboot'], capabilities: ['CAP_SYS_BOOT'] },
  { names: ['chroot'], capabilities: ['CAP_SYS_CHROOT'] },
  { names: ['delete_module', 'init_module', 'finit_module'], capabilities: ['CAP_SYS_MODULE'] },
  { names: ['acct'], capabilities: ['CAP_SYS_PACCT'] },
  { names: ['kcmp', 'pidfd_getfd', 'process_madvise'], capabilities: ['CAP_SYS_PTRACE'] },
  { names: ['iopl', 'ioperm'], capabilities: ['CAP_SYS_RAWIO'] },
  { names: words('settimeofday stime clock_settime clock_settime64'), capabilities: ['CAP_SYS_TIME'] },
  { names: ['vhangup'], capabilities: ['CAP_SYS_TTY_CONFIG'] },
  {
    names: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
    capabilities: ['CAP_SYS_NICE'],
  },
  { names: ['syslog'], capabilities: ['CAP_SYSLOG'] },
  { names: ['bpf'], capabilities: ['CAP_BPF'] },
  { names: ['perf_event_open'], capabilities: ['CAP_PERFMON'] },
];

/** The architectures a filter must name, by Node's name of the processor: the native one and those it also executes. */
export const seccompArchitectures: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  arm: ['SCMP_ARCH_ARM'],
  riscv64: ['SCMP_ARCH_RISCV64'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
  ppc64: ['SCMP_ARCH_PPC64LE'],
};
