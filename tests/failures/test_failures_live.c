/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF program loaded with each ring and attached to loopback, while one call after another
 * fails: it says why. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/loader.h"
#include "failures.h"

enum { PORT = 5399, SKIPPED = 77 };

static void load_and_attach(enum rings_kind kind)
{
	static const uint16_t port = PORT;
	const struct loader_options options = {
		.ring = kind, .ring_size = RINGS_SIZE_MIN, .ports = &port, .port_count = 1};
	const struct interface lo = {.index = 1, .name = "lo", .loopback = true};
	char error[LOADER_ERROR_MAX] = "";
	struct loader *loader = NULL;
	int rc = loader_new(&options, &loader, error), fd;

	failures_check(!rc == !!loader);
	failures_check(!rc || (*error && !strchr(error, '\n') && !strstr(error, "Success")));
	failures_spare(true);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	failures_check(fd >= 0);
	failures_spare(false);
	if (!rc)
		rc = loader_attach(loader, fd, &lo, 0, true);
	failures_check(!rc || (rc < 0 && failures_failed()));
	failures_spare(true);
	close(fd);
	failures_spare(false);
	loader_free(loader);
}

static void array_ring(enum failures_how how)
{
	(void)how;
	load_and_attach(RINGS_ARRAY);
}

static void bpf_ring(enum failures_how how)
{
	(void)how;
	load_and_attach(RINGS_BPF);
}

static void perf_ring(enum failures_how how)
{
	(void)how;
	load_and_attach(RINGS_PERF);
}

#define TEST(scenario, ...)                                                                        \
	static void test_##scenario(void **state)                                                  \
	{                                                                                          \
		static const enum failures_how hows[] = {__VA_ARGS__};                             \
                                                                                                   \
		(void)state;                                                                       \
		for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)                        \
			assert_true(failures_each(#scenario, scenario, hows[i]) > 0);              \
	}

TEST(array_ring, FAILURES_ERROR, FAILURES_ALL)
TEST(bpf_ring, FAILURES_ERROR)
TEST(perf_ring, FAILURES_ERROR)

static bool may_load(void)
{
	static const uint16_t port = PORT;
	const struct loader_options options = {
		.ring_size = RINGS_SIZE_MIN, .ports = &port, .port_count = 1};
	char error[LOADER_ERROR_MAX];
	struct loader *loader;

	if (loader_new(&options, &loader, error)) {
		printf("SKIP: %s\n", error);
		return false;
	}
	loader_free(loader);
	return true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_array_ring),
		cmocka_unit_test(test_bpf_ring),
		cmocka_unit_test(test_perf_ring),
	};

	if (!may_load())
		return SKIPPED;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
