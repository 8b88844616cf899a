/*
 * Lets User-Mode Linux run on processors whose extended register state (AVX-512, AMX) is larger than the buffer it was
 * built with: it would give up at once with "ptrace set fp regs failed, errno = 14". Preloaded into the kernel's own
 * process, it moves the whole state through a buffer that is large enough, and shows UML the front part of it.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define XSTATE_MAX (64 * 1024)

/* UML has one thread that calls ptrace(2). */
static unsigned char state[XSTATE_MAX] __attribute__((aligned(64)));

static long call(long request, long pid, void *address, void *data)
{
	return syscall(SYS_ptrace, request, pid, address, data);
}

static long xstate(long request, long pid, struct iovec *window)
{
	struct iovec whole = { .iov_base = state, .iov_len = sizeof(state) };
	long got = call(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
	size_t shown = window->iov_len < whole.iov_len ? window->iov_len : whole.iov_len;

	if (got < 0)
		return got;
	if (request == PTRACE_GETREGSET) {
		memcpy(window->iov_base, state, shown);
		window->iov_len = shown;
		return got;
	}
	/* What UML does not know of keeps the value that it has in the process. */
	memcpy(state, window->iov_base, shown);
	return call(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &whole);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list rest;
	long pid, word;
	void *address, *data;

	va_start(rest, request);
	pid = va_arg(rest, int);
	address = va_arg(rest, void *);
	data = va_arg(rest, void *);
	va_end(rest);

	switch ((long)request) {
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET:
		if ((long)address == NT_X86_XSTATE)
			return xstate(request, pid, data);
		break;
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER:
		/* The system call stores the word where libc's function returns it. */
		return call(request, pid, address, &word) < 0 ? -1 : word;
	default:
		break;
	}
	return call(request, pid, address, data);
}
