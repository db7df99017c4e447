/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that has confined itself tries what it must not: each try in a child of its own, which
 * either gets an error or is ended by the kernel. What a tap does all day still works.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/confine.h"
#include "base/log.h"

/* How a child ended: 0 it could, else the errno it got, or ENDED by the filter. */
enum { ENDED = 1000, NOT_CONFINED = 1001 };

typedef long attempt_fn(void);

static struct options options = {.confine = CONFINE_ON};
static char file[] = "/tmp/test-confine-XXXXXX";

static void confine_and_try(attempt_fn *attempt)
{
	const struct rlimit none = {0, 0};
	struct confine confine;

	setrlimit(RLIMIT_CORE, &none);
	if (confine_prepare(&options, &confine) || confine_worker(&confine))
		_exit(255);
	errno = 0;
	_exit(attempt() < 0 ? errno : 0);
}

static int outcome(attempt_fn *attempt)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		confine_and_try(attempt);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status)) {
		assert_int_equal(WTERMSIG(status), SIGSYS);
		return ENDED;
	}
	return WEXITSTATUS(status) == 255 ? NOT_CONFINED : WEXITSTATUS(status);
}

static long write_file(void)
{
	return open(file, O_WRONLY);
}

static long create_file(void)
{
	return open("/tmp/test-confine-new", O_WRONLY | O_CREAT, 0600);
}

static long temporary_file(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR, 0600);
}

static long read_roots_file(void)
{
	return open(file, O_RDONLY);
}

static long packet_socket(void)
{
	return socket(AF_PACKET, SOCK_DGRAM, 0);
}

static long bluetooth_socket(void)
{
	return socket(AF_BLUETOOTH, SOCK_RAW, 0);
}

static long raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static long bpf_create(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static long bpf_delete(void)
{
	union bpf_attr attr = {0};

	return syscall(SYS_bpf, BPF_MAP_DELETE_ELEM, &attr, sizeof(attr));
}

static long execute(void)
{
	char *const argv[] = {(char *)"true", NULL};

	return execv("/bin/true", argv);
}

static long make_process(void)
{
	return fork();
}

static long trace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long read_memory(void)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {&byte, 1};

	return process_vm_readv(getppid(), &here, 1, &there, 1, 0);
}

static long become_root(void)
{
	return setuid(0);
}

static long become_roots_group(void)
{
	return setresgid(0, 0, 0);
}

static long regain_capabilities(void)
{
	return syscall(SYS_capset, NULL, NULL);
}

static long enter_namespace(void)
{
	return unshare(CLONE_NEWNET);
}

static long kill_parent(void)
{
	return kill(getppid(), SIGUSR1);
}

static long signal_parent(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), SIGUSR1);
}

static long remove_file(void)
{
	return unlink(file);
}

static long map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? -1
		       : 0;
}

static long allow_core_dumps(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long inject_input(void)
{
	return ioctl(STDIN_FILENO, TIOCSTI, "x");
}

static void test_ended(void **state)
{
	static attempt_fn *const forbidden[] = {write_file, create_file, temporary_file,
		packet_socket, bluetooth_socket, bpf_create, execute, make_process, trace,
		read_memory, become_root, become_roots_group, regain_capabilities, enter_namespace,
		kill_parent, signal_parent, remove_file, allow_core_dumps, inject_input};

	(void)state;
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		int got = outcome(forbidden[i]);

		if (got != ENDED)
			fail_msg("attempt %zu ends with %d", i, got);
	}
	assert_int_equal(access(file, F_OK), 0);
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(outcome(map_code), EPERM);
	assert_int_equal(outcome(bpf_delete), EPERM);
	assert_int_equal(outcome(raw_socket), EPERM);
	if (!geteuid())
		assert_int_equal(outcome(read_roots_file), EACCES);
}

static void *nothing(void *arg)
{
	return arg;
}

/* Zero when all of it works, else which step does not. */
static long work(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct stat status;
	char name[64], *memory;
	pthread_t thread;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	errno = 101;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 1))
		return -1;
	errno = 102;
	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		return -1;
	errno = 103;
	fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) || gethostname(name, sizeof(name)))
		return -1;
	errno = 104;
	memory = malloc(64 << 20);
	if (!memory || !memset(memory, 1, 64 << 20))
		return -1;
	free(memory);
	errno = 105;
	if (socket(AF_NETLINK, SOCK_RAW, 0) < 0 || socket(AF_UNIX, SOCK_STREAM, 0) < 0)
		return -1;
	return 0;
}

#ifdef TCGETS2
/* As isatty does since glibc 2.42, here whichever it is. */
static long ask_terminal(void)
{
	struct termios2 settings;

	return ioctl(open("/dev/null", O_RDONLY), TCGETS2, &settings);
}
#endif

static void test_works(void **state)
{
	(void)state;
	assert_int_equal(outcome(work), 0);
#ifdef TCGETS2
	assert_int_equal(outcome(ask_terminal), ENOTTY);
#endif
}

static long look_at_self(void)
{
	struct rlimit core;
	uid_t uid, euid, suid;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
		return -1;
	if (getrlimit(RLIMIT_CORE, &core) || core.rlim_max || getresuid(&uid, &euid, &suid))
		return -1;
	return !uid || !euid || !suid ? -1 : 0;
}

/* The same calls, of which the kernel only takes note: see the list that ends this otherwise. */
static void test_log_only(void **state)
{
	(void)state;
	options.confine = CONFINE_LOG;
	assert_int_equal(outcome(look_at_self), 0);
	assert_int_equal(outcome(create_file), 0);
	assert_int_equal(outcome(packet_socket), EPERM);
	assert_int_equal(outcome(become_root), EPERM);
	options.confine = CONFINE_ON;
	unlink("/tmp/test-confine-new");
}

static void test_off(void **state)
{
	(void)state;
	options.confine = CONFINE_OFF;
	assert_int_equal(outcome(write_file), 0);
	options.confine = CONFINE_ON;
}

static char told[512];

static void keep_line(const char *line)
{
	snprintf(told, sizeof(told), "%s", line);
}

static void test_users(void **state)
{
	struct confine confine;

	(void)state;
	options.user = "no-such-user";
	log_set_function(keep_line);
	assert_int_equal(confine_prepare(&options, &confine), -ENOENT);
	log_set_function(NULL);
	assert_non_null(strstr(told, "--user no-such-user"));
	if (!geteuid()) {
		options.user = "12345";
		assert_int_equal(confine_prepare(&options, &confine), 0);
		assert_int_equal(confine.uid, 12345);
		assert_int_equal(confine.gid, 12345);
		assert_int_equal(outcome(work), 0);
		options.user = "12345x";
		assert_int_equal(confine_prepare(&options, &confine), -ENOENT);
	}
	options.user = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ended),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_works),
		cmocka_unit_test(test_log_only),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_users),
	};
	int fd = mkstemp(file), failed;

	if (fd < 0)
		return EXIT_FAILURE;
	close(fd);
	log_set_function(NULL);
	signal(SIGUSR1, SIG_IGN);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(file);
	return failed;
}
