/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live tap on loopback, while one call after another fails: the BPF program with each ring, the
 * list of network namespaces, and the whole run from the options to the exit. It does not start, or
 * ends, and says why; or its ledger is balanced at the end. Needs root.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/run.h"
#include "base/flow.h"
#include "capture/loader.h"
#include "capture/netns.h"
#include "scene.h"

/* RUN_STEP: a run takes some 60 ms, for a program is loaded. */
enum { PORT = 5399, QUERIES = 3, SLOTS = 2, RUN_STEP = 3 };

static char ledger_path[SCENE_PATH_MAX], file_path[SCENE_PATH_MAX];

static void attach(struct loader *loader, uint16_t slot)
{
	const struct interface lo = {.index = 1, .name = "lo", .loopback = true};
	int fd, rc;

	failures_spare(true);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	failures_check(fd >= 0);
	failures_spare(false);
	rc = loader_attach(loader, fd, &lo, slot, true);
	failures_check(!rc || (rc < 0 && failures_failed()));
	failures_spare(true);
	close(fd);
	failures_spare(false);
}

static void load_and_attach(enum rings_kind kind)
{
	static const uint16_t port = PORT;
	static const struct loader_network network = {
		.family = FAMILY_IPV4, .len = 8, .address = {127}};
	const struct loader_options options = {.ring = kind,
		.ring_size = RINGS_SIZE_MIN,
		.ports = &port,
		.port_count = 1,
		.filter = {.clients = &network, .client_count = 1},
		.slots = SLOTS};
	char error[LOADER_ERROR_MAX] = "";
	struct loader *loader = NULL;
	int rc = loader_new(&options, &loader, error);

	failures_check(!rc == !!loader);
	failures_check(!rc || (*error && !strchr(error, '\n') && !strstr(error, "Success")));
	for (uint16_t slot = 0; !rc && slot <= SLOTS; slot++)
		attach(loader, slot);
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

/* A namespace of a process that does nothing else: one that is missed would be let go. */

static pid_t sleeper;

static void list_netns(enum failures_how how)
{
	char number[16];
	const char *const wanted[] = {number};
	struct netns_entry entries[2];
	struct netns *netns = NULL;
	int rc = netns_new(wanted, 1, &netns), count, fd;

	(void)how;
	failures_check(!rc == !!netns && (!rc || failures_failed()));
	if (rc)
		return;
	snprintf(number, sizeof(number), "%d", (int)sleeper);
	count = netns_list(netns, entries, 2);
	/* a process whose namespace cannot be seen has ended */
	failures_check(
		count == 1 || (count < 0 && failures_failed()) || failures_failed_in("stat"));
	fd = count == 1 ? netns_socket(netns, entries[0].id, NETNS_ROUTE) : -1;
	failures_check(fd >= 0 || failures_failed());
	failures_spare(true);
	if (fd >= 0)
		close(fd);
	failures_spare(false);
	netns_free(netns);
}

static bool start_sleeper(void)
{
	int ready[2];
	bool is_ready;
	char byte;

	if (pipe(ready))
		return false;
	sleeper = fork();
	if (!sleeper) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	close(ready[1]);
	is_ready = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	return is_ready;
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
	bool written = scene_read(ledger_path, text, sizeof(text));

	failures_check(status == EXIT_OK || failures_lines() > 0);
	failures_check(written || failures_lines() > 0);
	failures_check(!written || strstr(text, "\"final\": true, \"balanced\": true}\n"));
	failures_check(status != EXIT_OK || !written || strstr(text, "\"matched\": 3,"));
}

static void run_tap(enum failures_how how)
{
	char words[][SCENE_WORD_MAX] = {"dnstap-bpf", "-i", "lo", "--port", "5399", "--ledger", "",
		"--ring-size", "256K", "--local", "192.0.2.0/24", "--client-net", "127.0.0.0/8",
		"--extra", "{interface}", "--confine", "off", "", "full"};
	const size_t count = sizeof(words) / sizeof(words[0]);
	pthread_t driver;
	int status;

	snprintf(words[6], SCENE_WORD_MAX, "%s", ledger_path);
	snprintf(words[count - 2], SCENE_WORD_MAX, "file://%s", file_path);
	failures_spare(true);
	/* a SIGTERM too many of the run before */
	signal(SIGTERM, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	unlink(ledger_path);
	watching = over = false;
	failures_on_line(on_line);
	failures_check(!pthread_create(&driver, NULL, drive, NULL));
	failures_spare(false);
	status = scene_run(run_live, words, count);
	failures_spare(true);
	over = true;
	pthread_join(driver, NULL);
	failures_on_line(NULL);
	failures_check(status == EXIT_OK || (status == EXIT_RUNTIME && failures_failed()));
	failures_check(status == EXIT_OK || how == FAILURES_ERROR);
	check_ledger(status);
	failures_spare(false);
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

static bool set_up(void)
{
	sigset_t set;

	scene_path("ledger.json", ledger_path);
	scene_path("file", file_path);
	/* as the tap's, so that its signals never meet another thread */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	return !pthread_sigmask(SIG_BLOCK, &set, NULL) && start_sleeper();
}

static bool clean_up(void)
{
	return !kill(sleeper, SIGKILL) && waitpid(sleeper, NULL, 0) == sleeper;
}

int main(void)
{
	static const struct scene_test tests[] = {
		SCENE_TEST(array_ring, FAILURES_ERROR | FAILURES_ALL),
		SCENE_TEST(bpf_ring, FAILURES_ERROR),
		SCENE_TEST(perf_ring, FAILURES_ERROR),
		SCENE_TEST(list_netns, FAILURES_ERROR),
		SCENE_TEST(run_tap, FAILURES_ERROR | FAILURES_INTERRUPT | FAILURES_SHORT, RUN_STEP),
	};

	if (!may_load())
		return SCENE_SKIPPED;
	return scene_main(tests, sizeof(tests) / sizeof(tests[0]), set_up, clean_up);
}
