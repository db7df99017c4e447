/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/confine_calls.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
/* Not on every architecture. */
#ifndef TCGETS2
#define TCGETS2 TCGETS
#endif

enum { BOTH = CONFINE_WORKER | CONFINE_OPENER, NAME_SIZE = 32 };

/* Which bits of an argument count: of an int not what stands above it. */
#define INT     UINT32_MAX
#define POINTER UINT64_MAX
#define ANY     0

/* Calls that are allowed whatever their arguments. */
struct group {
	int roles;
	const char *calls;
	const char *why;
};

static const struct group groups[] = {
	{BOTH, "brk munmap mremap madvise", "malloc, thread stacks, buffers of libraries"},
	{BOTH, "futex sched_yield set_robust_list rseq restart_syscall",
		"locks, and libc's threads"},
	{BOTH, "exit exit_group", "the end of a thread and of the process"},
	{BOTH, "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack",
		"signals, set up and handled"},
	{BOTH, "read write readv writev lseek close fcntl dup dup3", "descriptors that are open"},
	{BOTH, "fstat newfstatat statx fstatfs statfs readlink readlinkat getdents64 getcwd access",
		"stdio, c-ares, OpenSSL look before they open; folders of certificates, spools"},
	{BOTH, "faccessat faccessat2", "the same, and whether the ledger's pipe may be written to"},
	{BOTH, "clock_gettime clock_getres gettimeofday time clock_nanosleep nanosleep",
		"clocks, where the vDSO has none (some virtual machines)"},
	{BOTH, "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait",
		"waiting for sockets and timers"},
	{BOTH, "connect bind getsockname getpeername getsockopt setsockopt shutdown",
		"collectors, name servers, netlink, metrics, systemd; filters of packet sockets"},
	{BOTH, "sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg", "the same"},
	{BOTH, "getpid gettid getppid getuid geteuid getgid getegid getgroups uname sysinfo",
		"who we are: libraries, the log, the host's name as identity"},
	{BOTH, "getrandom", "OpenSSL, c-ares, malloc, names of temporary files"},
	{BOTH, "sched_getaffinity getcpu", "libc counts the CPUs"},
	{CONFINE_WORKER, "listen accept accept4", "whoever reads the metrics"},
	{CONFINE_WORKER, "pread64 pwrite64 ftruncate flock",
		"spool segments; a cut on a full disk"},
	{CONFINE_WORKER, "eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd4",
		"wake-ups of the sinks, timers, signals as descriptors"},
	{CONFINE_WORKER, "getrusage times", "figures about ourselves"},
	{CONFINE_WORKER, "wait4 waitid", "the opener's end"},
	{CONFINE_OPENER, "openat mkdir mkdirat unlink unlinkat rename renameat renameat2",
		"its work, for names of the configuration only"},
	{CONFINE_OPENER, "inotify_init1 inotify_add_watch", "the folder of a collector's socket"},
	{CONFINE_OPENER, "setns", "sockets in network namespaces; needs CAP_SYS_ADMIN"},
};

/* Calls for which one argument decides; one of several lines for a call is enough. */
struct check {
	int roles;
	const char *call;
	unsigned int argument;
	uint64_t mask;
	uint64_t value;
	int error; /* 0: allowed; else what the call returns instead of ending the process */
	const char *why;
};

enum { CHANGES = O_ACCMODE | O_CREAT | O_TRUNC };

static const struct check checks[] = {
	{CONFINE_WORKER, "openat", 2, CHANGES, O_RDONLY, 0,
		"what everybody may read: resolv.conf, certificates, the time zone"},
	{BOTH, "mmap", 2, PROT_EXEC, 0, 0, "memory, but no code"},
	{BOTH, "mmap", 2, PROT_EXEC, PROT_EXEC, EPERM, "a library that would load a plug-in"},
	{BOTH, "mprotect", 2, PROT_EXEC, 0, 0, "memory, but no code"},
	{BOTH, "mprotect", 2, PROT_EXEC, PROT_EXEC, EPERM, "the same"},
	{CONFINE_WORKER, "clone", 0, CLONE_THREAD, CLONE_THREAD, 0, "sinks: threads, no processes"},
	{CONFINE_WORKER, "clone3", 0, ANY, 0, ENOSYS,
		"its flags cannot be checked here: libc then uses clone"},
	{BOTH, "socket", 0, INT, AF_UNIX, 0, "systemd, the journal, names of interfaces"},
	{BOTH, "socket", 0, INT, AF_INET, 0, "collectors, name servers"},
	{BOTH, "socket", 0, INT, AF_INET6, 0, "the same"},
	{BOTH, "socket", 0, INT, AF_NETLINK, 0, "interfaces, addresses and routes"},
	{CONFINE_OPENER, "socket", 0, INT, AF_PACKET, 0, "new interfaces; needs CAP_NET_RAW"},
	{BOTH, "ioctl", 1, INT, TCGETS, 0, "stdio: is it a terminal?"},
	{BOTH, "ioctl", 1, INT, TCGETS2, 0, "the same, asked by glibc 2.42 and later"},
	{BOTH, "ioctl", 1, INT, FIONBIO, 0, "libraries: a socket that never blocks"},
	{BOTH, "ioctl", 1, INT, FIONREAD, 0, "libraries: how much there is to read"},
	{BOTH, "ioctl", 1, INT, SIOCGIFNAME, 0, "the name of an interface"},
	{BOTH, "ioctl", 1, INT, SIOCGIFINDEX, 0, "an IPv6 address with a scope"},
	{CONFINE_WORKER, "ioctl", 1, INT, PERF_EVENT_IOC_DISABLE, 0, "closing the perf ring"},
	{CONFINE_WORKER, "bpf", 0, INT, BPF_MAP_DELETE_ELEM, EPERM,
		"libbpf tries it when a perf ring is closed, and can do without"},
	{CONFINE_WORKER, "membarrier", 0, INT, MEMBARRIER_CMD_GLOBAL, 0,
		"at the end: until no program writes into the ring any more"},
	{BOTH, "prctl", 0, INT, PR_SET_NAME, 0, "names of threads"},
	{BOTH, "prctl", 0, INT, PR_SET_VMA, 0, "libc names its memory"},
	{BOTH, "prlimit64", 2, POINTER, 0, 0, "limits are read, not set"},
};

static int add_group(scmp_filter_ctx filter, const struct group *group)
{
	const char *at = group->calls;
	int rc = 0;

	while (*at && !rc) {
		char name[NAME_SIZE] = "";
		size_t len = strcspn(at, " ");
		int call;

		memcpy(name, at, len < NAME_SIZE ? len : NAME_SIZE - 1);
		call = seccomp_syscall_resolve_name(name);
		/* what this machine or an older libseccomp does not know cannot be called */
		if (call != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
		at += len + (at[len] == ' ');
	}
	return rc;
}

static int add_check(scmp_filter_ctx filter, const struct check *check)
{
	const uint32_t action =
		check->error ? SCMP_ACT_ERRNO((uint32_t)check->error) : SCMP_ACT_ALLOW;
	const struct scmp_arg_cmp compare = {
		check->argument, SCMP_CMP_MASKED_EQ, check->mask, check->value};
	int call = seccomp_syscall_resolve_name(check->call);

	if (call == __NR_SCMP_ERROR)
		return 0;
	if (check->mask == ANY)
		return seccomp_rule_add(filter, action, call, 0);
	return seccomp_rule_add_array(filter, action, call, 1, &compare);
}

/* abort: a signal to ourselves alone. */
static int add_own_signals(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp ourselves = {0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0};

	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &ourselves);
}

static int set_attributes(scmp_filter_ctx filter, uint32_t refuse)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, refuse);

	if (!rc)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	/* a tree instead of a list: an older library does without */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/*
	 * No slow mitigations of speculation, which before Linux 5.16 come with seccomp: they
	 * protect a process from code of others inside it, and here is none.
	 */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	return rc;
}

int confine_calls_load(enum confine_role role, bool log_only)
{
	const uint32_t refuse = log_only ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
	scmp_filter_ctx filter = seccomp_init(refuse);
	int rc;

	if (!filter)
		return -ENOMEM;
	rc = set_attributes(filter, refuse);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]) && !rc; i++)
		if (groups[i].roles & (int)role)
			rc = add_group(filter, &groups[i]);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && !rc; i++)
		if (checks[i].roles & (int)role)
			rc = add_check(filter, &checks[i]);
	if (!rc)
		rc = add_own_signals(filter);
	if (!rc)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc;
}
