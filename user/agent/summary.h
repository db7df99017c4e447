/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger for people and for programs: what came in, what went out and each reason for the
 * difference, with the equations of base/ledger.h, wire/fragments.h, wire/streams.h and sink/sink.h
 * worked out.
 */
#ifndef AGENT_SUMMARY_H
#define AGENT_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/ledger.h"
#include "sink/sink.h"
#include "wire/fragments.h"
#include "wire/streams.h"

/* One sink; a stopped one was taken out by a reload, and its name may be that of another too. */
struct summary_sink {
	const char *text;
	bool full, unidirectional, stopped;
	uint64_t frames, oversize; /* the ledger's, of its time */
	struct sink_counts counts;
};

struct summary {
	const struct ledger *ledger;
	const struct fragments_counts *fragments;
	const struct streams_counts *streams;
	const struct summary_sink *sinks;
	size_t sink_count;
	bool final; /* nothing is in flight: the equations must hold */
};

/* True when every equation holds; only meaningful with nothing in flight. */
bool summary_balanced(const struct summary *summary);
/* True when anything that should have been delivered was not. */
bool summary_lost(const struct summary *summary);

void summary_text(const struct summary *summary, FILE *to);
/* Whether summary_json_file can work; leaves nothing behind. 0 or -errno. */
int summary_check_file(const struct sink_files *files, const char *path);
/* Replaces the file whole, or leaves it as it was. 0 or -errno. */
int summary_json_file(
	const struct summary *summary, const struct sink_files *files, const char *path);

#endif
