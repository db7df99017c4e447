/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* How often the line was held back, or nothing. */
struct again {
	char text[64];
};

static bool allowed(struct log_limit *limit, struct again *ret)
{
	uint64_t suppressed;

	if (!log_allowed(limit, clock_monotonic(), &suppressed))
		return false;
	ret->text[0] = 0;
	if (suppressed)
		snprintf(ret->text, sizeof(ret->text), " (%" PRIu64 " times more since last said)",
			suppressed);
	return true;
}

static const char *reason(int error)
{
	switch (error) {
	case -EPIPE:
		return "the other end closed it";
	case -EPROTO:
		return "the other end does not speak Frame Streams as a dnstap collector does";
	case -ETIMEDOUT:
		return "the other end did nothing in time";
	default:
		return strerror(-error);
	}
}

void report_connected(struct report *r)
{
	if (!r->well)
		log_info("sink %s: connected", r->name);
	r->well = true;
}

void report_no_connection(struct report *r, int error, bool greeted, const char *why)
{
	struct again again;

	if (!allowed(&r->no_connection, &again))
		return;
	r->well = false;
	log_warn("sink %s: %s: %s; trying again until it works%s", r->name,
		greeted ? "connected, but no handshake" : "not connected",
		greeted || !why ? reason(error) : why, again.text);
}

void report_lost(struct report *r, int error, uint64_t frames)
{
	struct again again;

	if (!allowed(&r->lost, &again))
		return;
	r->well = false;
	log_warn("sink %s: connection lost: %s; %" PRIu64
		 " messages written to it are unconfirmed%s",
		r->name, reason(error), frames, again.text);
}

void report_disk_full(struct report *r)
{
	struct again again;

	if (allowed(&r->disk_full, &again))
		log_error("sink %s: no room on the disk; messages wait in the queue%s", r->name,
			again.text);
}

void report_unfinished(struct report *r, int error, uint64_t frames)
{
	log_warn("sink %s: ended without confirmation: %s; %" PRIu64
		 " messages written to it are unconfirmed",
		r->name, reason(error), frames);
}

void report_failed(struct report *r, int error)
{
	log_error("sink %s: cannot be written any more: %s", r->name, strerror(-error));
}
