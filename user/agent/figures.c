/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/figures.h"

#include <stdio.h>
#include <string.h>

#include "agent/kinds.h"
#include "dnstap/names.h"

#define PREFIX "dnstap_bpf_"

/* One count: where it stands in its struct, and what it is. */
struct count {
	const char *name, *text;
	enum kind kind;
	size_t offset;
};

/* Those of these kinds are one metric, by reason. */
struct reasons {
	unsigned kinds; /* bits 1 << enum kind */
	const char *name, *help;
};

struct section {
	const void *values;
	const struct count *counts;
	size_t count;
	const char *prefix;
	const struct reasons *reasons; /* ends with one without a name */
	const char *const *elsewhere;  /* counts that another metric tells, ends with NULL */
};

static const struct count ledger_counts[] = {
#define COUNT(name, kind, text) {#name, text, kind, offsetof(struct ledger, name)},
	LEDGER_LIST(COUNT)
#undef COUNT
};

static const struct reasons ledger_reasons[] = {
	{1 << KERNEL_REASON | 1 << PACKET_REASON, PREFIX "packets_dropped_total",
		"Packets on the watched ports that did not go on, by the ledger's reason."},
	{1 << MESSAGE_REASON, PREFIX "payloads_dropped_total",
		"Payloads that became no DNS message, by the ledger's reason."},
	{1 << FRAME_REASON, PREFIX "messages_dropped_total",
		"DNS messages that became no dnstap message, by the ledger's reason."},
	{0},
};

static const char *const ledger_elsewhere[] = {"queries_unanswered", NULL};

static const struct count fragment_counts[] = {
#define COUNT(name, kind, text) {#name, text, kind, offsetof(struct fragments_counts, name)},
	FRAGMENTS_LIST(COUNT)
#undef COUNT
};

static const struct reasons fragments_reasons[] = {
	{1 << FRAGMENT_REASON, PREFIX "fragments_dropped_total",
		"IP fragments that became no whole datagram, by the ledger's reason."},
	{0},
};

static const char *const fragments_elsewhere[] = {"fragments", "reassembled", NULL};

static const struct count stream_counts[] = {
#define COUNT(name, kind, text) {#name, text, kind, offsetof(struct streams_counts, name)},
	STREAMS_COUNTS_LIST(COUNT)
#undef COUNT
};

static const struct reasons streams_reasons[] = {
	{1 << BYTES_REASON, PREFIX "streams_bytes_skipped_total",
		"Bytes of TCP payload that became no message, by the ledger's reason."},
	{0},
};

static const char *const streams_elsewhere[] = {"messages", NULL};

/* One count of a sink; those of one name are one metric and stand together. */
struct sink_row {
	const char *name;
	enum exposition_type type;
	const char *label; /* NULL: none beside the sink */
	const char *value; /* of that label */
	size_t offset;
	const char *help;
};

#define FIELD(name) offsetof(struct sink_counts, name)
#define COUNTER(metric, name, help)                                                                \
	{                                                                                          \
		PREFIX "sink_" metric "_total", EXPOSITION_COUNTER, NULL, NULL, FIELD(name), help  \
	}
#define LOST(name)                                                                                 \
	{                                                                                          \
		PREFIX "sink_frames_lost_total", EXPOSITION_COUNTER, "reason", #name, FIELD(name), \
			"Frames that will never be sent, by reason."                               \
	}
#define HELD(name)                                                                                 \
	{                                                                                          \
		PREFIX "sink_frames_in_flight", EXPOSITION_GAUGE, "state", #name, FIELD(name),     \
			"Frames in the queue, in the spool, and on the connection that is open."   \
	}
#define FAILURE(name)                                                                              \
	{                                                                                          \
		PREFIX "sink_failures_total", EXPOSITION_COUNTER, "reason", #name, FIELD(name),    \
			"Times that a connection or a disk failed, by reason."                     \
	}

static const struct sink_row sink_rows[] = {
	COUNTER("frames", offered, "Frames given to the sink."),
	COUNTER("frames_confirmed", confirmed,
		"Frames on connections that ended with FINISH, or in whole files."),
	COUNTER("frames_unconfirmed", unconfirmed,
		"Frames written to a connection that ended otherwise."),
	COUNTER("frames_recovered", recovered, "Frames found in the spool at the start."),
	COUNTER("frames_resent", resent, "Frames sent again after a connection without FINISH."),
	LOST(lost_queue_full),
	LOST(lost_undelivered),
	LOST(given_up),
	HELD(queued),
	HELD(spooled),
	HELD(written),
	COUNTER("connections", connections, "Connections that were made."),
	FAILURE(failed_connect),
	FAILURE(failed_handshake),
	FAILURE(ended_closed),
	FAILURE(ended_timeout),
	FAILURE(ended_protocol),
	FAILURE(ended_error),
	FAILURE(disk_full),
	FAILURE(spool_failed),
	COUNTER("spool_files_torn", torn, "Spool files with something cut off or damaged."),
};

enum { SINK_ROWS = sizeof(sink_rows) / sizeof(sink_rows[0]) };
_Static_assert(sizeof(struct sink_counts) == SINK_ROWS * sizeof(uint64_t),
	"every count of a sink has a row");

static uint64_t value_at(const void *values, size_t offset)
{
	return *(const uint64_t *)((const char *)values + offset);
}

static void write_one(struct exposition *e, enum exposition_type type, const char *name,
	const char *help, uint64_t value)
{
	exposition_family(e, type, name, help);
	exposition_number(e, NULL, value);
}

static bool is_elsewhere(const struct section *s, const struct count *c)
{
	for (const char *const *name = s->elsewhere; *name; name++)
		if (!strcmp(*name, c->name))
			return true;
	for (const struct reasons *r = s->reasons; r->name; r++)
		if (r->kinds >> c->kind & 1)
			return true;
	return false;
}

static void write_reasons(
	struct exposition *e, const struct section *s, const struct reasons *reasons)
{
	exposition_family(e, EXPOSITION_COUNTER, reasons->name, reasons->help);
	for (size_t i = 0; i < s->count; i++)
		if (reasons->kinds >> s->counts[i].kind & 1)
			exposition_number(e, EXPOSITION_LABELS({"reason", s->counts[i].name}),
				value_at(s->values, s->counts[i].offset));
}

static void write_section(struct exposition *e, const struct section *s)
{
	char name[EXPOSITION_NAME_MAX];

	for (size_t i = 0; i < s->count; i++) {
		const struct count *c = &s->counts[i];

		if (is_elsewhere(s, c))
			continue;
		snprintf(name, sizeof(name), "%s%s_total", s->prefix, c->name);
		write_one(e, EXPOSITION_COUNTER, name, c->text, value_at(s->values, c->offset));
	}
	for (const struct reasons *r = s->reasons; r->name; r++)
		write_reasons(e, s, r);
}

#define SECTION(name, from, list, before)                                                          \
	(&(const struct section){.values = (from),                                                 \
		.counts = (list),                                                                  \
		.count = sizeof(list) / sizeof((list)[0]),                                         \
		.prefix = (before),                                                                \
		.reasons = name##_reasons,                                                         \
		.elsewhere = name##_elsewhere})

static const char *role_name(unsigned role)
{
	static const char *const names[STATISTICS_ROLES] = {
		"AUTH", "RESOLVER", "CLIENT", "FORWARDER", "STUB", "TOOL", "UPDATE"};

	return names[role];
}

static void write_messages(struct exposition *e, const struct statistics *s)
{
	exposition_family(e, EXPOSITION_COUNTER, PREFIX "dnstap_messages_total",
		"dnstap messages, by their type, protocol and address family.");
	for (unsigned type = 1; type < STATISTICS_TYPES; type++)
		for (unsigned i = 0; i < STATISTICS_PROTOCOLS * STATISTICS_FAMILIES; i++) {
			uint64_t count = s->messages[type][i / 2][i % 2];

			if (count)
				exposition_number(e,
					EXPOSITION_LABELS({"type", message_type_name((
									   enum message_type)type)},
						{"protocol", i / 2 ? "tcp" : "udp"},
						{"family", i % 2 ? "ipv6" : "ipv4"}),
					count);
		}
}

static void write_rcodes(struct exposition *e, const struct statistics *s)
{
	exposition_family(e, EXPOSITION_COUNTER, PREFIX "dnstap_responses_total",
		"dnstap messages that are responses, by role and response code (EDNS's included).");
	for (unsigned role = 0; role < STATISTICS_ROLES; role++)
		for (unsigned rcode = 0; rcode < STATISTICS_RCODES; rcode++) {
			const char *name = names_rcode((uint8_t)rcode);
			char number[16];

			if (!s->rcodes[role][rcode])
				continue;
			snprintf(number, sizeof(number), "RCODE%u", rcode);
			if (rcode == STATISTICS_RCODES - 1)
				name = "other";
			exposition_number(e,
				EXPOSITION_LABELS(
					{"role", role_name(role)}, {"rcode", name ? name : number}),
				s->rcodes[role][rcode]);
		}
}

static void write_latencies(struct exposition *e, const struct statistics *s)
{
	uint64_t bounds[STATISTICS_BOUNDS];

	for (unsigned i = 0; i < STATISTICS_BOUNDS; i++)
		bounds[i] = (uint64_t)STATISTICS_BOUND_FIRST << i;
	exposition_family(e, EXPOSITION_HISTOGRAM, PREFIX "response_latency_seconds",
		"Time from a query to its response, as seen here, by role.");
	for (unsigned role = 0; role < STATISTICS_ROLES; role++) {
		const struct statistics_latency *l = &s->latencies[role];
		const struct exposition_histogram histogram = {
			bounds, l->counts, STATISTICS_BOUNDS, l->sum};
		uint64_t count = 0;

		for (unsigned i = 0; i <= STATISTICS_BOUNDS; i++)
			count += l->counts[i];
		if (count)
			exposition_histogram(
				e, EXPOSITION_LABELS({"role", role_name(role)}), &histogram);
	}
}

static void write_statistics(struct exposition *e, const struct figures *f)
{
	write_messages(e, f->statistics);
	write_rcodes(e, f->statistics);
	write_latencies(e, f->statistics);
	exposition_family(e, EXPOSITION_COUNTER, PREFIX "queries_unanswered_total",
		"Queries not answered in time, by role.");
	for (unsigned role = 0; role < STATISTICS_ROLES; role++)
		exposition_number(
			e, EXPOSITION_LABELS({"role", role_name(role)}), f->unanswered[role]);
}

static void write_sink_counts(struct exposition *e, const struct figures *f)
{
	const char *name = "";

	for (size_t i = 0; i < SINK_ROWS; i++) {
		const struct sink_row *row = &sink_rows[i];

		if (strcmp(row->name, name))
			exposition_family(e, row->type, row->name, row->help);
		name = row->name;
		for (size_t j = 0; j < f->sink_count; j++)
			exposition_number(e,
				EXPOSITION_LABELS(
					{"sink", f->sinks[j].label}, {row->label, row->value}),
				value_at(&f->sinks[j].counts, row->offset));
	}
}

/* offset: of an uint64_t in struct sink_levels. */
static void write_sink_level(struct exposition *e, const struct figures *f, const char *name,
	const char *help, size_t offset)
{
	exposition_family(e, EXPOSITION_GAUGE, name, help);
	for (size_t i = 0; i < f->sink_count; i++)
		if (f->sinks[i].running)
			exposition_number(e, EXPOSITION_LABELS({"sink", f->sinks[i].label}),
				value_at(&f->sinks[i].levels, offset));
}

static void write_sinks(struct exposition *e, const struct figures *f)
{
	exposition_family(e, EXPOSITION_GAUGE, PREFIX "sink_connected",
		"1 while a collector is connected; for files and lines, while they work.");
	for (size_t i = 0; i < f->sink_count; i++)
		if (f->sinks[i].running)
			exposition_number(e, EXPOSITION_LABELS({"sink", f->sinks[i].label}),
				f->sinks[i].connected);
	write_sink_level(e, f, PREFIX "sink_queue_bytes", "Bytes in the queue.",
		offsetof(struct sink_levels, queue));
	write_sink_level(e, f, PREFIX "sink_queue_size_bytes", "Bytes that the queue has room for.",
		offsetof(struct sink_levels, queue_size));
	write_sink_level(e, f, PREFIX "sink_spool_bytes", "Bytes in the spool's files.",
		offsetof(struct sink_levels, spool));
	write_sink_level(e, f, PREFIX "sink_spool_size_bytes",
		"Bytes that the spool may have; 0 without one.",
		offsetof(struct sink_levels, spool_size));
	write_sink_counts(e, f);
}

static void write_rooms(struct exposition *e, const struct figures *f)
{
	const struct pipeline_levels *l = &f->levels;
	const struct options *o = f->options;
	const struct {
		const char *name, *help;
		uint64_t value;
	} rooms[] = {
		{PREFIX "queries_pending", "Queries that wait for a response.", l->queries},
		{PREFIX "queries_pending_limit", "Queries that may wait (--max-queries).",
			o->max_queries},
		{PREFIX "responses_waiting", "Responses held until their query is read.",
			l->responses},
		{PREFIX "streams_open", "TCP connections followed.", l->intake.streams},
		{PREFIX "streams_open_limit", "TCP connections that may be (--max-streams).",
			o->max_streams},
		{PREFIX "streams_held_bytes", "Bytes of TCP payload held.",
			l->intake.streams_bytes},
		{PREFIX "streams_held_limit_bytes", "Bytes that may be held (--stream-memory).",
			o->stream_memory},
		{PREFIX "fragments_held", "IP fragments held.", l->intake.fragments},
		{PREFIX "ring_size_bytes", "Bytes of each ring: perf has one a CPU.",
			f->ring_level.size},
		{PREFIX "ring_fill_bytes", "Bytes waiting in the fullest ring.",
			f->ring_level.waiting},
		{PREFIX "ring_peak_bytes",
			"The most bytes that waited in one ring, in a minute or two, or since the "
			"scrape before.",
			f->ring_level.peak},
		{PREFIX "interfaces", "Interfaces that are watched.", f->taps.interfaces},
		{PREFIX "network_namespaces", "Network namespaces watched beside our own.",
			f->taps.namespaces},
	};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		write_one(e, EXPOSITION_GAUGE, rooms[i].name, rooms[i].help, rooms[i].value);
}

static void write_memory(struct exposition *e, const struct figures *f)
{
	const struct pipeline_levels *l = &f->levels;
	uint64_t queues = 0;

	for (size_t i = 0; i < f->sink_count; i++)
		queues += f->sinks[i].running ? f->sinks[i].levels.queue_size : 0;
	exposition_family(e, EXPOSITION_GAUGE, PREFIX "pool_size_bytes",
		"Memory that each pool has allocated, touched or not.");
	exposition_number(e, EXPOSITION_LABELS({"pool", "queries"}), l->queries_memory);
	exposition_number(e, EXPOSITION_LABELS({"pool", "responses"}), l->responses_memory);
	exposition_number(e, EXPOSITION_LABELS({"pool", "query_copies"}), l->copies_memory);
	exposition_number(e, EXPOSITION_LABELS({"pool", "streams"}), l->intake.streams_memory);
	exposition_number(e, EXPOSITION_LABELS({"pool", "fragments"}), l->intake.fragments_memory);
	exposition_number(e, EXPOSITION_LABELS({"pool", "sink_queues"}), queues);
}

static void write_process(struct exposition *e, const struct figures *f)
{
	exposition_family(e, EXPOSITION_GAUGE, PREFIX "build_info",
		"1; the program's version and the ring it uses.");
	exposition_number(e, EXPOSITION_LABELS({"version", f->version}, {"ring", f->ring}), 1);
	exposition_family(e, EXPOSITION_COUNTER, PREFIX "reloads_total",
		"Times that the configuration was read again, by result.");
	exposition_number(e, EXPOSITION_LABELS({"result", "done"}), f->reloads);
	exposition_number(e, EXPOSITION_LABELS({"result", "failed"}), f->reloads_failed);
	exposition_family(e, EXPOSITION_GAUGE, "process_start_time_seconds",
		"Start of the process, since 1970-01-01.");
	exposition_seconds(e, NULL, f->process.start);
	exposition_family(
		e, EXPOSITION_COUNTER, "process_cpu_seconds_total", "User and system CPU time.");
	exposition_seconds(e, NULL, f->process.cpu);
	if (f->process.memory)
		write_one(e, EXPOSITION_GAUGE, "process_resident_memory_bytes", "Resident memory.",
			f->process.memory);
}

void figures_label(const char *url, char ret[static FIGURES_LABEL_MAX])
{
	size_t len = strcspn(url, "?");

	if (len >= FIGURES_LABEL_MAX) {
		len = FIGURES_LABEL_MAX - 1;
		/* not inside of a character */
		while (len && (url[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(ret, url, len);
	ret[len] = '\0';
}

void figures_write(const struct figures *f, struct exposition *e)
{
	write_section(e, SECTION(ledger, f->ledger, ledger_counts, PREFIX));
	write_section(e, SECTION(fragments, f->fragments, fragment_counts, PREFIX));
	write_section(e, SECTION(streams, f->streams, stream_counts, PREFIX "streams_"));
	write_statistics(e, f);
	write_sinks(e, f);
	write_rooms(e, f);
	write_memory(e, f);
	write_process(e, f);
}
