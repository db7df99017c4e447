/* SPDX-License-Identifier: BSD-2-Clause */
/* A sink with a spool whose collector stays away: what is offered goes to the disk at once. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sink/sink.h"

enum {
	ROUNDS = 3000,
	BATCHES = 4, /* one right after the other, as when the sender is late for the first */
	BATCH_MAX = 100,
	/* The tries to connect are by then further apart than PATIENCE_MS. */
	WARM_MS = 4000,
	PATIENCE_MS = 2500,
};

static char directory[] = "/tmp/test-outage-XXXXXX";

static void pause_ns(long ns)
{
	struct timespec pause = {.tv_nsec = ns};

	nanosleep(&pause, NULL);
}

static struct sink_counts counts(const struct sink *sink)
{
	struct sink_counts counts;

	sink_read_counts(sink, &counts);
	return counts;
}

static void offer_batch(struct sink *sink, unsigned frames)
{
	const char frame[100] = "a frame";

	for (unsigned i = 0; i < frames; i++)
		sink_offer(sink, frame, sizeof(frame));
	sink_flush(sink);
}

/* A queue that is not emptied before the next try to connect fills meanwhile and loses. */
static void the_disk_gets_all_without_waiting_for_the_next_try(void **state)
{
	struct sink_options options = {
		.queue_size = SINK_QUEUE_MIN, .failure_fd = -1, .spool = directory};
	struct sink_url url = {.kind = SINK_UNIX};
	struct sink *sink;
	char error[512];

	(void)state;
	snprintf(url.target, sizeof(url.target), "%s/absent", directory);
	snprintf(url.text, sizeof(url.text), "%s", url.target);
	if (sink_new(&url, &options, &sink, error, sizeof(error)))
		fail_msg("%s", error);
	for (unsigned ms = 0; ms < WARM_MS; ms += 100)
		pause_ns(100000000);
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t patience = clock_monotonic() + PATIENCE_MS * NS_PER_MS;

		for (unsigned batch = 0; batch < BATCHES; batch++)
			offer_batch(sink, 1 + (7 * round + 31 * batch) % BATCH_MAX);
		while (counts(sink).queued) {
			if (clock_monotonic() > patience)
				fail_msg("round %u: %lu frames stay in the queue", round,
					(unsigned long)counts(sink).queued);
			pause_ns(10000);
		}
	}
	assert_int_equal(counts(sink).spooled, counts(sink).offered);
	assert_int_equal(counts(sink).lost_queue_full, 0);
	sink_stop(sink);
	sink_free(sink);
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[sizeof(directory) + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_disk_gets_all_without_waiting_for_the_next_try),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
