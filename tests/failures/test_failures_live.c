/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live tap on loopback, loaded, attached and run for a few packets, while one call after
 * another fails: it does not start and says why, or its ledger is balanced at the end. Needs root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/options.h"
#include "agent/run.h"
#include "base/clock.h"
#include "capture/loader.h"
#include "failures.h"

enum { PORT = 5399, QUERIES = 3, SKIPPED = 77 };

static char directory[] = "/tmp/test-failures-XXXXXX";
static char ledger_path[64], file_path[64];

static void load_and_attach(enum rings_kind kind)
{
	static const uint16_t port = PORT;
	const struct loader_options options = {
		.ring = kind, .ring_size = RINGS_SIZE_MIN, .ports = &port, .port_count = 1};
	const struct interface lo = {.index = 1, .name = "lo", .loopback = true};
	char error[LOADER_ERROR_MAX] = "";
	struct loader *loader = NULL;
	int rc = loader_new(&options, &loader, error);

	failures_check(!rc == !!loader);
	if (!rc)
		rc = loader_attach(loader, &lo, true, error);
	failures_check(!rc || (rc < 0 && failures_failed()));
	failures_check(!rc || (*error && !strchr(error, '\n') && !strstr(error, "Success")));
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

/* The whole program. */

static atomic_bool watching, over;

static void on_line(const char *line)
{
	if (strstr(line, "watching lo"))
		watching = true;
}

/* Sends a few queries to the port, then ends the tap. */
static void *drive(void *arg)
{
	static const uint8_t query[] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	int fd;

	(void)arg;
	failures_spare(true);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while (!watching && !over)
		usleep(200);
	for (int i = 0; i < QUERIES && !over; i++)
		sendto(fd, query, sizeof(query), 0, (struct sockaddr *)&to, sizeof(to));
	usleep(2000);
	while (!over) {
		kill(getpid(), SIGTERM);
		usleep(1000);
	}
	close(fd);
	return NULL;
}

static void check_ledger(int status)
{
	static char text[20000];
	FILE *from = fopen(ledger_path, "re");
	size_t len = from ? fread(text, 1, sizeof(text) - 1, from) : 0;

	if (from)
		fclose(from);
	text[len] = 0;
	failures_check(status == EXIT_OK || failures_lines() > 0);
	if (from)
		failures_check(strstr(text, "\"final\": true, \"balanced\": true}\n"));
	else
		failures_check(failures_lines() > 0);
}

static void run_tap(enum failures_how how)
{
	static struct options options;
	char words[][80] = {"dnstap-bpf", "-i", "lo", "--port", "5399", "--ledger", "",
		"--ring-size", "256K", "", "full"};
	char *argv[sizeof(words) / sizeof(words[0]) + 1] = {0}, error[OPTIONS_ERROR_MAX];
	pthread_t driver;
	int status;

	(void)how;
	snprintf(words[6], sizeof(words[6]), "%s", ledger_path);
	snprintf(words[9], sizeof(words[9]), "file://%s", file_path);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		argv[i] = words[i];
	failures_check(
		!options_parse((int)(sizeof(words) / sizeof(words[0])), argv, &options, error));
	failures_spare(true);
	unlink(ledger_path);
	watching = over = false;
	failures_on_line(on_line);
	failures_check(!pthread_create(&driver, NULL, drive, NULL));
	failures_spare(false);
	status = run_live(&options);
	failures_spare(true);
	over = true;
	pthread_join(driver, NULL);
	failures_check(status == EXIT_OK || (status == EXIT_RUNTIME && failures_failed()));
	check_ledger(status);
	failures_spare(false);
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
TEST(run_tap, FAILURES_ERROR, FAILURES_INTERRUPT, FAILURES_SHORT)

static int make_directory(void **state)
{
	sigset_t set;

	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(ledger_path, sizeof(ledger_path), "%s/ledger.json", directory);
	snprintf(file_path, sizeof(file_path), "%s/file", directory);
	/* as the tap's, so that its signals never meet another thread */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	return pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static int remove_directory(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	return system(command);
}

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
		cmocka_unit_test(test_run_tap),
	};

	if (!may_load())
		return SKIPPED;
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
