/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/pipeline_rooms.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"

static struct intake *open_intake(struct pipeline *p)
{
	const struct options *o = p->options;
	struct intake_options options = {
		.ports = o->ports,
		.port_count = o->port_count,
		.replay = o->read,
		.max_streams = o->max_streams,
		.stream_memory = o->stream_memory,
		.ledger = &p->ledger,
		.output = {.message = pipeline_on_message,
			.connection_end = pipeline_on_connection_end,
			.arg = p},
	};

	return intake_new(&options);
}

static bool open_rooms(struct pipeline *p, const struct pipeline_options *o)
{
	const struct options *options = o->options;

	p->intake = open_intake(p);
	p->roles = roles_new((enum role)options->role);
	p->exchanges = exchanges_new(
		options->max_queries, options->query_timeout * NS_PER_SECOND, &p->ledger);
	p->held = held_new();
	if (options->with_query)
		p->copies = copies_new(COPIES_MEMORY_DEFAULT);
	p->emit = emit_new(o->sinks, o->sink_count, (enum lines_format)options->format, o->identity,
		o->version);
	return p->intake && p->roles && p->exchanges && p->held &&
	       (p->copies || !options->with_query) && p->emit;
}

struct pipeline *pipeline_new(const struct pipeline_options *o)
{
	const struct options *options = o->options;
	struct pipeline *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->options = options;
	p->local = o->local;
	p->broadcast = o->broadcast;
	p->all_server_side = options->promiscuous || (options->read && !options->local_count);
	p->own = o->own;
	p->extra = o->extra;
	p->filter = o->filter;
	if (!open_rooms(p, o)) {
		pipeline_free(p);
		return NULL;
	}
	return p;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	intake_free(p->intake);
	roles_free(p->roles);
	exchanges_free(p->exchanges);
	held_free(p->held);
	copies_free(p->copies);
	emit_free(p->emit);
	free(p);
}

void pipeline_set_wall(struct pipeline *p, uint64_t wall_minus_time)
{
	p->wall_minus_time = wall_minus_time;
}

static int fail(struct pipeline *p, struct emit *emit, struct roles *roles, int err)
{
	emit_free(emit);
	if (roles != p->roles)
		roles_free(roles);
	return err;
}

int pipeline_replace(
	struct pipeline *p, const struct pipeline_options *o, char error[static FILTER_ERROR_MAX])
{
	const struct options *next = o->options;
	struct emit *emit = emit_new(
		o->sinks, o->sink_count, (enum lines_format)next->format, o->identity, o->version);
	struct roles *roles =
		next->role == p->options->role ? p->roles : roles_new((enum role)next->role);

	if (next->with_query && !p->copies)
		p->copies = copies_new(COPIES_MEMORY_DEFAULT);
	if (!emit || !roles || (next->with_query && !p->copies)) {
		snprintf(error, FILTER_ERROR_MAX, "out of memory");
		return fail(p, emit, roles, -ENOMEM);
	}
	/* those that wait may have been cut in the kernel: nobody wanted their bytes */
	if (!emit_wants_bytes(p->emit) && emit_wants_bytes(emit))
		pipeline_let_go(p);
	if (filter_replace(p->filter, next, error))
		return fail(p, emit, roles, -EINVAL);
	intake_set_ports(p->intake, next->ports, next->port_count);
	emit_flush(p->emit);
	emit_free(p->emit);
	p->emit = emit;
	if (roles != p->roles)
		roles_free(p->roles);
	p->roles = roles;
	p->extra = o->extra;
	return 0;
}

void pipeline_expect_copies(struct pipeline *p, bool possible, uint32_t loopback)
{
	intake_expect_copies(p->intake, possible, loopback);
}

struct ledger *pipeline_ledger(struct pipeline *p)
{
	return &p->ledger;
}

const struct intake *pipeline_intake(const struct pipeline *p)
{
	return p->intake;
}

const struct statistics *pipeline_statistics(const struct pipeline *p)
{
	return &p->statistics;
}

uint64_t pipeline_unanswered(const struct pipeline *p, enum role role)
{
	return exchanges_unanswered(p->exchanges, role);
}

void pipeline_read_levels(const struct pipeline *p, struct pipeline_levels *ret)
{
	*ret = (struct pipeline_levels){
		.queries = exchanges_pending(p->exchanges),
		.responses = held_count(p->held),
		.queries_memory = exchanges_memory(p->exchanges),
		.responses_memory = held_memory(p->held),
		.copies_memory = p->copies ? copies_memory(p->copies) : 0,
	};
	intake_read_levels(p->intake, &ret->intake);
}
