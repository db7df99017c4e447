/* SPDX-License-Identifier: BSD-2-Clause */
/* Listing real network namespaces, those of children that do nothing else. Needs root. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture/netns.h"

enum { CHILDREN = 3, EXIT_SKIP = 77 };

static const char named[] = "/run/netns/test-capture-netns";

struct room {
	pid_t children[CHILDREN];
	char pids[CHILDREN][16];
	const char *wanted[CHILDREN];
	struct netns *netns;
};

/* The pid of a child in a namespace of its own. */
static pid_t make_child(void)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (unshare(CLONE_NEWNET) || write(ready[1], &byte, 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end_child(pid_t *pid)
{
	if (!*pid)
		return;
	kill(*pid, SIGKILL);
	waitpid(*pid, NULL, 0);
	*pid = 0;
}

static int open_room(void **state)
{
	static struct room r;

	*state = &r;
	for (size_t i = 0; i < CHILDREN; i++) {
		r.children[i] = make_child();
		snprintf(r.pids[i], sizeof(r.pids[i]), "%d", r.children[i]);
		r.wanted[i] = r.pids[i];
	}
	return netns_new(r.wanted, CHILDREN, &r.netns);
}

static int close_room(void **state)
{
	struct room *r = *state;

	netns_free(r->netns);
	for (size_t i = 0; i < CHILDREN; i++)
		end_child(&r->children[i]);
	return 0;
}

static uint64_t id_of(pid_t pid)
{
	struct stat file;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	assert_int_equal(stat(path, &file), 0);
	return file.st_ino;
}

static void name_it(pid_t pid)
{
	char path[64];
	FILE *file;

	mkdir("/run/netns", 0755);
	file = fopen(named, "w");
	assert_non_null(file);
	fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	assert_int_equal(mount(path, named, NULL, MS_BIND, NULL), 0);
}

static void unname_it(void)
{
	umount2(named, MNT_DETACH);
	unlink(named);
}

static bool has(const struct netns_entry *entries, int count, uint64_t id)
{
	for (int i = 0; i < count; i++)
		if (entries[i].id == id)
			return true;
	return false;
}

/* Where there are more than fit, a name that is given meanwhile drives out nobody. */
static void test_stays_listed(void **state)
{
	struct netns_entry first[2], again[CHILDREN];
	struct room *r = *state;
	int count;

	assert_int_equal(netns_list(r->netns, first, 2), 2);
	for (size_t i = 0; i < CHILDREN; i++)
		if (!has(first, 2, id_of(r->children[i])))
			name_it(r->children[i]);
	count = netns_list(r->netns, again, 2);
	unname_it();
	assert_int_equal(count, 2);
	assert_int_equal(again[0].id, first[0].id);
	assert_int_equal(again[1].id, first[1].id);
	assert_int_equal(netns_list(r->netns, again, CHILDREN), CHILDREN);
}

/* One that ends makes room for the next, and cannot be entered any more. */
static void test_ends(void **state)
{
	struct netns_entry entries[CHILDREN];
	struct room *r = *state;
	uint64_t gone;
	int fd;

	assert_int_equal(netns_list(r->netns, entries, CHILDREN), CHILDREN);
	gone = id_of(r->children[0]);
	fd = netns_socket(r->netns, gone, NETNS_ROUTE);
	assert_true(fd >= 0);
	close(fd);
	end_child(&r->children[0]);
	assert_int_equal(netns_socket(r->netns, gone, NETNS_ROUTE), -ENOENT);
	assert_int_equal(netns_list(r->netns, entries, CHILDREN), CHILDREN - 1);
	assert_false(has(entries, CHILDREN - 1, gone));
	assert_int_equal(netns_socket(r->netns, gone, NETNS_ROUTE), -ENOENT);
}

/* What is not there yet is known, and stays met when it has been there. */
static void test_met(void **state)
{
	const char *wanted[] = {"no-such-name", NULL, "all"};
	struct netns_entry entries[1];
	struct room *r = *state;
	struct netns *n;

	wanted[1] = r->wanted[0];
	assert_int_equal(netns_new(wanted, 3, &n), 0);
	assert_false(netns_met(n, 1));
	for (int i = 0; i < 2; i++) {
		assert_true(netns_list(n, entries, 1) >= 0);
		assert_false(netns_met(n, 0));
		assert_true(netns_met(n, 1));
		end_child(&r->children[0]);
	}
	netns_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stays_listed, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_ends, open_room, close_room),
		cmocka_unit_test_setup_teardown(test_met, open_room, close_room),
	};
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(unshare(CLONE_NEWNET) ? EXIT_SKIP : 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || WEXITSTATUS(status)) {
		printf("SKIP: network namespaces cannot be made here (needs root)\n");
		return EXIT_SKIP;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
