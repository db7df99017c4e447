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

static bool allowed(struct report *r, enum report_reason reason, struct again *ret)
{
	uint64_t suppressed;

	if (!log_allowed(&r->limits[reason], clock_monotonic(), &suppressed))
		return false;
	ret->text[0] = 0;
	if (suppressed)
		snprintf(ret->text, sizeof(ret->text), " (%" PRIu64 " times more since last said)",
			suppressed);
	return true;
}

enum report_reason report_reason(int error)
{
	switch (error) {
	case -EPIPE:
	case -ECONNRESET:
		return REPORT_CLOSED;
	case -ETIMEDOUT:
		return REPORT_TIMEOUT;
	case -EPROTO:
		return REPORT_PROTOCOL;
	case -ENOSPC:
	case -EDQUOT:
		return REPORT_DISK_FULL;
	default:
		return REPORT_ERROR;
	}
}

static const char *text_of(int error, const char *why)
{
	if (why)
		return why;
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

void report_connected(struct report *r, const char *note)
{
	if (!r->well)
		log_info("sink %s: connected%s%s", r->name, note ? ", " : "", note ? note : "");
	r->well = true;
}

void report_no_connection(struct report *r, int error, bool greeted, const char *why)
{
	struct again again;

	if (!allowed(r, greeted ? REPORT_HANDSHAKE : REPORT_CONNECT, &again))
		return;
	r->well = false;
	log_warn("sink %s: %s: %s; trying again until it works%s", r->name,
		greeted ? "connected, but no handshake" : "not connected", text_of(error, why),
		again.text);
}

struct fate {
	char text[80];
};

/* What becomes of what was written to a connection that has ended badly. */
static struct fate fate_of(const struct report *r, uint64_t frames)
{
	struct fate fate = {"nothing had been written to it"};

	if (frames)
		snprintf(fate.text, sizeof(fate.text), "%" PRIu64 " messages written to it are %s",
			frames, r->spooled ? "kept to be sent again" : "unconfirmed");
	return fate;
}

void report_lost(struct report *r, int error, const char *why, uint64_t frames)
{
	struct again again;

	if (!allowed(r, report_reason(error), &again))
		return;
	r->well = false;
	log_warn("sink %s: %s lost: %s; %s%s", r->name, r->file ? "file" : "connection",
		text_of(error, why), fate_of(r, frames).text, again.text);
}

enum report_reason report_file_reason(int error, bool open)
{
	enum report_reason reason = report_reason(error);

	return open || reason == REPORT_DISK_FULL ? reason : REPORT_CONNECT;
}

void report_file(struct report *r, int error, bool open, const char *why)
{
	enum report_reason reason = report_file_reason(error, open);
	struct again again;

	if (!allowed(r, reason, &again))
		return;
	r->well = false;
	if (reason == REPORT_DISK_FULL)
		log_error("sink %s: no room on the disk; messages wait in the queue%s", r->name,
			again.text);
	else
		log_error("sink %s: cannot be %s: %s; trying again until it works, messages wait "
			  "in the queue%s",
			r->name, open ? "written" : "opened", why ? why : strerror(-error),
			again.text);
}

void report_file_well(struct report *r)
{
	if (!r->well)
		log_info("sink %s: written again", r->name);
	r->well = true;
}

void report_queue_full(struct report *r, uint64_t frames)
{
	struct again again;

	if (frames == r->queue_full || !allowed(r, REPORT_QUEUE_FULL, &again))
		return;
	log_warn("sink %s: the queue is full: %" PRIu64 " messages lost since last said", r->name,
		frames - r->queue_full);
	r->queue_full = frames;
}

void report_recovered(struct report *r, const struct spool_counts *found)
{
	if (found->recovered)
		log_info("sink %s: %" PRIu64 " messages of an earlier run wait in the spool",
			r->name, found->recovered);
	if (found->torn)
		log_warn("sink %s: the end of %" PRIu64
			 " files in the spool was cut off and is left out",
			r->name, found->torn);
}

void report_spool(struct report *r, int error)
{
	struct again again;

	if (allowed(r, REPORT_SPOOL, &again))
		log_error("sink %s: the spool takes nothing: %s; messages wait in the queue%s",
			r->name, strerror(-error), again.text);
}

void report_given_up(struct report *r, uint64_t frames)
{
	struct again again;

	if (frames == r->given_up || !allowed(r, REPORT_GIVEN_UP, &again))
		return;
	log_warn("sink %s: the spool is full: the oldest %" PRIu64
		 " messages given up since last said",
		r->name, frames - r->given_up);
	r->given_up = frames;
}

void report_finished(struct report *r, const char *name, uint64_t frames)
{
	log_info("sink %s: finished %s: %" PRIu64 " messages", r->name, name ? name : "the file",
		frames);
}

void report_unfinished(struct report *r, int error, uint64_t frames)
{
	log_warn("sink %s: ended without confirmation: %s; %s", r->name, text_of(error, NULL),
		fate_of(r, frames).text);
}

void report_failed(struct report *r, int error, const char *why)
{
	log_error("sink %s: cannot be written any more: %s", r->name, why ? why : strerror(-error));
}
