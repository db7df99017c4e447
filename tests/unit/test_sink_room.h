/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of sink/ share: numbered frames for a sink, and the equation of its counts. */
#ifndef TEST_SINK_ROOM_H
#define TEST_SINK_ROOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sink/sink.h"

/* What a busy machine may add to a time that is promised; and how long is waited for what must
 * come. */
enum { BUSY_MS = 2000, PATIENCE_MS = 20000 };

static const struct sink_options live = {.queue_size = SINK_QUEUE_DEFAULT, .failure_fd = -1};
static char error[512];

static inline int try_sink(const char *text, const struct sink_options *options, struct sink **ret)
{
	static struct sink_url url;

	error[0] = 0;
	assert_int_equal(sink_url_parse(text, &url, error, sizeof(error)), 0);
	return sink_new(&url, options, ret, error, sizeof(error));
}

static inline struct sink *open_sink(const char *text, const struct sink_options *options)
{
	struct sink *sink;

	if (try_sink(text, options, &sink))
		fail_msg("%s", error);
	assert_string_equal(sink_url(sink)->text, text);
	return sink;
}

/* Each begins with its number; their lengths go up to room. */
static inline void offer_frames(struct sink *sink, uint64_t from, uint64_t upto, size_t room)
{
	uint8_t frame[2000];

	assert_in_range(room, 64, sizeof(frame));
	memset(frame, 0x5a, sizeof(frame));
	for (uint64_t n = from; n < upto; n++) {
		memcpy(frame, &n, sizeof(n));
		sink_offer(sink, frame, sizeof(n) + n * 7919 % (room - sizeof(n)));
		if (n % 64 == 63)
			sink_flush(sink);
	}
	sink_flush(sink);
}

static inline struct sink_counts balanced(const struct sink *sink)
{
	struct sink_counts c;

	sink_read_counts(sink, &c);
	assert_int_equal(c.offered, c.confirmed + c.unconfirmed + c.written + c.queued +
					    c.lost_queue_full + c.lost_undelivered);
	assert_in_range(c.queued, 0, c.offered);
	assert_in_range(c.written, 0, c.offered);
	return c;
}

static inline struct sink_counts stopped(struct sink *sink, uint64_t within_ms)
{
	uint64_t began = clock_monotonic();
	struct sink_counts c;

	sink_stop(sink);
	assert_in_range((clock_monotonic() - began) / NS_PER_MS, 0, within_ms + BUSY_MS);
	c = balanced(sink);
	assert_int_equal(c.queued, 0);
	assert_int_equal(c.written, 0);
	return c;
}

#endif
