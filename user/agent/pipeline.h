/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The way of a packet, in one direction:
 *
 *   intake: packet -> datagram, fragments or stream -> message's bytes
 *   here:   DNS message -> asked for? -> side and role -> exchange -> asked for? -> frame -> sinks
 *
 * The only place that knows both capture and sinks. It owns the rooms between them and the
 * ledger; the sinks and address sets are the caller's and outlive it. One thread.
 */
#ifndef AGENT_PIPELINE_H
#define AGENT_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/extra.h"
#include "agent/filter.h"
#include "agent/intake.h"
#include "agent/options.h"
#include "agent/own.h"
#include "agent/statistics.h"
#include "base/ledger.h"
#include "base/prefixes.h"
#include "capture/captured.h"
#include "sink/sink.h"

struct pipeline_options {
	const struct options *options; /* role, limits, ports, format */
	const char *identity, *version;
	struct sink **sinks;
	size_t sink_count;
	const struct prefixes *local, *broadcast; /* of this host, and --local */
	struct own *own;
	struct extra *extra; /* NULL: no extra field */
	struct filter *filter;
};

struct pipeline;

/* NULL without memory, or with an identity or version that no frame can hold. */
struct pipeline *pipeline_new(const struct pipeline_options *options);
void pipeline_free(struct pipeline *pipeline);

/* The difference of wall time to the packets' time, ns modulo 2^64; 0 in a replay. */
void pipeline_set_wall(struct pipeline *pipeline, uint64_t wall_minus_time);

/*
 * After a reload: from now on these sinks, texts, filters, ports, anonymisation and role; what is
 * remembered of queries and connections stays. Of the options, those that a reload may change are
 * read here or, through the pointer of pipeline_new, whenever they matter; so the caller changes
 * that struct afterwards. On an error (one line) nothing has changed.
 */
int pipeline_replace(struct pipeline *pipeline, const struct pipeline_options *options,
	char error[static FILTER_ERROR_MAX]);

/* As intake_expect_copies. */
void pipeline_expect_copies(struct pipeline *pipeline, bool possible, uint32_t loopback);

/* Takes one packet; a captured_fn, arg is the pipeline. */
void pipeline_packet(void *arg, const struct captured *packet);

/*
 * Time goes on without packets: all that was stamped before now has been given. Lets go what
 * waited for it, and times out queries.
 */
void pipeline_tick(struct pipeline *pipeline, uint64_t now);
/* When the next pipeline_tick has something to do; UINT64_MAX: nothing waits. */
uint64_t pipeline_next_tick(const struct pipeline *pipeline);
/* The end of a batch: wakes the sinks. */
void pipeline_flush(struct pipeline *pipeline);
/* The end: lets go all that waited. Nothing is in flight afterwards but in the sinks. */
void pipeline_drain(struct pipeline *pipeline);

/* The caller fills in what the kernel counted: matched, ring_full and what it refused. */
struct ledger *pipeline_ledger(struct pipeline *pipeline);
/* For the counts of its rooms. */
const struct intake *pipeline_intake(const struct pipeline *pipeline);
const struct statistics *pipeline_statistics(const struct pipeline *pipeline);
uint64_t pipeline_unanswered(const struct pipeline *pipeline, enum role role);

/* How full its rooms are now, and the bytes that they have allocated. */
struct pipeline_levels {
	struct intake_levels intake;
	uint64_t queries, responses; /* waiting, for a response and for their query */
	size_t queries_memory, responses_memory, copies_memory;
};

void pipeline_read_levels(const struct pipeline *pipeline, struct pipeline_levels *ret);

#endif
