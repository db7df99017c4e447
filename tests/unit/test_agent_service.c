/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said to the service manager, and when, on a socket that stands for its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/service.h"
#include "base/clock.h"

static int manager = -1;
static char heard[2048];
static const uint64_t start = 1000 * NS_PER_SECOND;

static int set_up(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(address);
	char name[64];

	(void)state;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	/* the kernel chooses an abstract name */
	if (manager < 0 || bind(manager, (struct sockaddr *)&address, sizeof(sa_family_t)) ||
		getsockname(manager, (struct sockaddr *)&address, &len))
		return -1;
	snprintf(name, sizeof(name), "@%.*s",
		(int)(len - offsetof(struct sockaddr_un, sun_path) - 1), address.sun_path + 1);
	return setenv("NOTIFY_SOCKET", name, 1) || unsetenv("WATCHDOG_USEC");
}

static int tear_down(void **state)
{
	(void)state;
	return close(manager);
}

/* The next message, "" for none. */
static const char *hear(void)
{
	ssize_t len = recv(manager, heard, sizeof(heard) - 1, 0);

	heard[len > 0 ? len : 0] = '\0';
	return heard;
}

static void test_status(void **state)
{
	struct ledger ledger = {.messages = 7, .ring_full = 2};
	const struct service_view view = {.watched = "lo, eth0", .ring = "perf", .ledger = &ledger};
	struct service s;

	(void)state;
	service_init(&s, start);
	assert_true(service_next_beat(&s) == UINT64_MAX);
	service_ready(&s, &view, start);
	assert_string_equal(hear(), "READY=1\nSTATUS=Watching lo, eth0 (perf ring); "
				    "0 of 0 sinks connected; 7 messages, 2 lost");
	ledger.messages++;
	service_status(&s, &view, start + 4 * NS_PER_SECOND);
	assert_string_equal(hear(), "");
	assert_true(service_status_due(&s, start + 5 * NS_PER_SECOND));
	service_status(&s, &view, start + 5 * NS_PER_SECOND);
	assert_non_null(strstr(hear(), "8 messages"));
	service_status(&s, &view, start + 10 * NS_PER_SECOND);
	assert_string_equal(hear(), ""); /* nothing new */
	assert_false(service_status_due(&s, start + 14 * NS_PER_SECOND));
	service_stopping(&s);
	assert_int_equal(strncmp(hear(), "STOPPING=1\n", 11), 0);
}

static void test_many_interfaces(void **state)
{
	struct ledger ledger = {.messages = UINT64_MAX, .ring_full = UINT64_MAX};
	char names[2000];
	const struct service_view view = {.watched = names, .ring = "BPF", .ledger = &ledger};
	struct service s;

	(void)state;
	memset(names, 'x', sizeof(names) - 1);
	names[sizeof(names) - 1] = '\0';
	service_init(&s, start);
	service_ready(&s, &view, start);
	assert_non_null(strstr(hear(), "xxx... (BPF ring); 0 of 0 sinks connected; "
				       "18446744073709551615 messages, 18446744073709551615 lost"));
}

static void test_watchdog(void **state)
{
	struct service s;

	(void)state;
	setenv("WATCHDOG_USEC", "3000000", 1);
	service_init(&s, start);
	for (uint64_t ms = 0; ms < 6100; ms += 10) {
		uint64_t now = start + ms * NS_PER_MS;
		bool due = ms && ms % 1500 == 0;

		service_beat(&s, now);
		assert_string_equal(hear(), due ? "WATCHDOG=1" : "");
		assert_true(service_next_beat(&s) > now);
	}
}

static void test_nobody_listens(void **state)
{
	struct ledger ledger = {0};
	const struct service_view view = {.watched = "lo", .ring = "BPF", .ledger = &ledger};
	struct service s;

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "3000000", 1);
	service_init(&s, start);
	service_ready(&s, &view, start);
	service_reloading(&s, start);
	service_stopping(&s);
	service_beat(&s, UINT64_MAX - 1);
	assert_false(service_status_due(&s, UINT64_MAX));
	assert_true(service_next_beat(&s) == UINT64_MAX);
	assert_string_equal(hear(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_status, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_interfaces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watchdog, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody_listens, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
