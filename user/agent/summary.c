/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum ledger_kind {
	TOTAL,
	KERNEL_REASON,
	PACKET_OUT,
	PACKET_REASON,
	MESSAGE_IN,
	MESSAGE_REASON,
	FRAME_REASON,
	NOTE,
};

struct line {
	const char *name, *text;
	enum ledger_kind kind;
	size_t offset;
};

static const struct line ledger_lines[] = {
#define LEDGER_LINE(name, kind, text) {#name, text, kind, offsetof(struct ledger, name)},
	LEDGER_LIST(LEDGER_LINE)
#undef LEDGER_LINE
};

static const struct line sink_lines[] = {
#define SINK_LINE(name, text) {#name, text, TOTAL, offsetof(struct sink_counts, name)},
	SINK_COUNT_LIST(SINK_LINE)
#undef SINK_LINE
};

enum {
	LEDGER_LINES = sizeof(ledger_lines) / sizeof(ledger_lines[0]),
	SINK_LINES_COUNT = sizeof(sink_lines) / sizeof(sink_lines[0]),
};

static uint64_t value_of(const void *counts, const struct line *line)
{
	return *(const uint64_t *)((const char *)counts + line->offset);
}

static uint64_t sum_of(const struct ledger *ledger, enum ledger_kind kind)
{
	uint64_t sum = 0;

	for (int i = 0; i < LEDGER_LINES; i++)
		if (ledger_lines[i].kind == kind)
			sum += value_of(ledger, &ledger_lines[i]);
	return sum;
}

static bool sink_balanced(const struct sink *sink)
{
	struct sink_counts c;

	sink_read_counts(sink, &c);
	return c.offered == c.confirmed + c.unconfirmed + c.written + c.queued +
		c.lost_queue_full + c.lost_undelivered;
}

bool summary_balanced(const struct summary *r)
{
	const struct ledger *l = r->ledger;
	bool balanced = l->matched == l->recorded + sum_of(l, KERNEL_REASON) &&
		l->recorded == sum_of(l, PACKET_OUT) + sum_of(l, PACKET_REASON) &&
		l->datagrams + sum_of(l, MESSAGE_IN) == l->messages + sum_of(l, MESSAGE_REASON) &&
		l->messages == l->frames + sum_of(l, FRAME_REASON);

	for (size_t i = 0; i < r->sink_count; i++)
		balanced &= sink_balanced(r->sinks[i]);
	return balanced;
}

bool summary_lost(const struct summary *r)
{
	bool lost = r->ledger->ring_full || r->ledger->frame_oversize;

	for (size_t i = 0; i < r->sink_count; i++) {
		struct sink_counts c;

		sink_read_counts(r->sinks[i], &c);
		lost |= c.lost_queue_full || c.lost_undelivered || c.unconfirmed;
	}
	return lost;
}

/* The totals are always shown, a reason only when it happened. */
static void print_lines(FILE *to, const void *counts, const struct line *lines, int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t value = value_of(counts, &lines[i]);

		if (value || lines[i].kind == TOTAL)
			fprintf(to, "  %12" PRIu64 "  %-20s %s\n", value, lines[i].name, lines[i].text);
	}
}

void summary_text(const struct summary *r, FILE *to)
{
	fprintf(to, "ledger:\n");
	print_lines(to, r->ledger, ledger_lines, LEDGER_LINES);
	for (size_t i = 0; i < r->sink_count; i++) {
		struct sink_counts c;

		sink_read_counts(r->sinks[i], &c);
		fprintf(to, "sink %s%s:\n", sink_url(r->sinks[i])->text,
			sink_url(r->sinks[i])->full ? " full" : "");
		print_lines(to, &c, sink_lines, SINK_LINES_COUNT);
	}
	if (r->final)
		fprintf(to, "%s\n",
			summary_balanced(r) ? "balanced: every packet is accounted for"
					   : "NOT balanced: this is a fault of dnstap-bpf, please report it");
	fflush(to);
}

static void json_string(FILE *to, const char *text)
{
	fputc('"', to);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(to, "\\u%04x", (unsigned)*text);
		else
			fputc(*text, to);
	}
	fputc('"', to);
}

static void json_lines(FILE *to, const void *counts, const struct line *lines, int count)
{
	for (int i = 0; i < count; i++)
		fprintf(to, "%s\"%s\": %" PRIu64, i ? ", " : "", lines[i].name,
			value_of(counts, &lines[i]));
}

static void summary_json(const struct summary *r, FILE *to)
{
	fprintf(to, "{\"ledger\": {");
	json_lines(to, r->ledger, ledger_lines, LEDGER_LINES);
	fprintf(to, "},\n \"sinks\": [");
	for (size_t i = 0; i < r->sink_count; i++) {
		struct sink_counts c;

		sink_read_counts(r->sinks[i], &c);
		fprintf(to, "%s{\"sink\": ", i ? ",\n  " : "");
		json_string(to, sink_url(r->sinks[i])->text);
		fprintf(to, ", \"full\": %s, ", sink_url(r->sinks[i])->full ? "true" : "false");
		json_lines(to, &c, sink_lines, SINK_LINES_COUNT);
		fputc('}', to);
	}
	fprintf(to, "],\n \"final\": %s, \"balanced\": %s}\n", r->final ? "true" : "false",
		summary_balanced(r) ? "true" : "false");
}

int summary_json_file(const struct summary *r, const char *path)
{
	char temporary[PATH_MAX];
	FILE *to;
	int err = 0;

	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	to = fopen(temporary, "we");
	if (!to)
		return -errno;
	summary_json(r, to);
	if (ferror(to) | fclose(to))
		err = -EIO;
	else if (rename(temporary, path))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}
