/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a pipeline is made of: shared by pipeline.c, the way of a message, and pipeline_rooms.c,
 * which opens the rooms and exchanges some of them while the tap runs. Nothing else includes it.
 */
#ifndef AGENT_PIPELINE_ROOMS_H
#define AGENT_PIPELINE_ROOMS_H

#include "agent/pipeline.h"
#include "exchange/copies.h"
#include "exchange/exchanges.h"
#include "exchange/held.h"
#include "exchange/roles.h"
#include "sink/emit.h"
#include "wire/dns.h"

struct pipeline {
	struct ledger ledger;
	struct statistics statistics;
	const struct options *options;
	const struct prefixes *local, *broadcast;
	bool all_server_side; /* nothing is known of who is local: a file, a mirror port */
	struct own *own;
	struct extra *extra;
	struct filter *filter;
	uint64_t wall_minus_time;
	uint64_t next_tick; /* replay: packet time */
	struct intake *intake;
	struct roles *roles;
	struct exchanges *exchanges;
	struct held *held;
	struct copies *copies; /* NULL until there was a --with-query */
	struct emit *emit;
	uint8_t zone[DNS_NAME_MAX];
};

/* Emits the responses that wait for their queries. */
void pipeline_let_go(struct pipeline *p);
/* Of the intake; arg is the pipeline. */
void pipeline_on_message(void *arg, const struct intake_message *message);
void pipeline_on_connection_end(void *arg, const struct flow *flow);

#endif
