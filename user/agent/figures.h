/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tap's metrics: what was gathered at one moment, and its exposition. Every count of the
 * ledger, of the fragments, the streams and the sinks is there because the lists that make them
 * make the exposition too. A reason why something was given up is a label, with the ledger's own
 * name for it, of one metric for each stage; all else is a metric of its own.
 *
 * Series: bounded, since no label holds what comes from packets. Pure; nothing here is owned.
 */
#ifndef AGENT_FIGURES_H
#define AGENT_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/exposition.h"
#include "agent/options.h"
#include "agent/pipeline.h"
#include "agent/statistics.h"
#include "agent/taps.h"
#include "base/ledger.h"
#include "capture/rings.h"
#include "sink/sink.h"
#include "wire/fragments.h"
#include "wire/streams.h"

enum { FIGURES_LABEL_MAX = 256 };

/* label: its URL, without settings, which name keys and folders. */
struct figures_sink {
	char label[FIGURES_LABEL_MAX];
	struct sink_counts counts;
	bool running; /* else only its counts are left */
	bool connected;
	struct sink_levels levels; /* running */
};

struct figures_process {
	uint64_t start;  /* wall ns */
	uint64_t cpu;    /* ns */
	uint64_t memory; /* bytes, resident; 0: unknown */
};

struct figures {
	const char *version, *ring;
	const struct options *options;
	const struct ledger *ledger;
	const struct fragments_counts *fragments;
	const struct streams_counts *streams;
	const struct statistics *statistics;
	uint64_t unanswered[STATISTICS_ROLES];
	struct pipeline_levels levels;
	struct rings_level ring_level;
	struct taps_levels taps;
	uint64_t reloads, reloads_failed;
	struct figures_process process;
	const struct figures_sink *sinks;
	size_t sink_count;
};

/* The URL up to its settings, cut off where it is longer. */
void figures_label(const char *url, char ret[static FIGURES_LABEL_MAX]);

void figures_write(const struct figures *figures, struct exposition *e);

#endif
