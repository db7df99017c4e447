/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sinks of a run, which a reload may change: those that run stand in struct run; those that
 * were taken out are ending, each within its own time while the rest goes on, and then only their
 * counts are kept, for the ledger. A sink stays as it is, connection and queue, when its place and
 * all its settings stay, the TLS files' contents included.
 *
 * Bounds: at most OPTIONS_SINKS_MAX are ending, for a reload waits for them; the counts of
 * OUTLETS_ENDED_MAX different ones are kept apart, those of others together in the last.
 * Ownership: the sinks and what is here are the run's. It logs. Threads: the pipeline's.
 */
#ifndef AGENT_OUTLETS_H
#define AGENT_OUTLETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/opener_protocol.h"
#include "agent/options.h"
#include "agent/summary.h"
#include "sink/sink.h"

enum {
	OUTLETS_ENDED_MAX = 8,
	OUTLETS_TEXT_MAX = 256,
	OUTLETS_ROWS_MAX = 2 * OPTIONS_SINKS_MAX + OUTLETS_ENDED_MAX,
};

/* What is known of a sink beside itself. */
struct outlet {
	char *settings; /* all that would make it another sink; its spool in the first line */
	struct opener_place place; /* where they stand */
	uint64_t frames, oversize; /* the ledger's when it began; when it ended, since then */
};

struct outlets_ended {
	struct summary_sink row; /* its text is here */
	char text[OUTLETS_TEXT_MAX];
};

struct outlets {
	struct outlet known[OPTIONS_SINKS_MAX]; /* beside run->sinks */
	struct sink *ending[OPTIONS_SINKS_MAX];
	struct outlet ending_known[OPTIONS_SINKS_MAX];
	size_t ending_count;
	struct outlets_ended ended[OUTLETS_ENDED_MAX];
	size_t ended_count;
	bool broken; /* one that has ended lacks what it was to keep: see sink_broken */
};

struct run;

/* Opens the sinks of run->options. 0, or -errno after a line was logged. */
int outlets_open(struct run *run);
/* Ends them all; afterwards their counts are final. */
void outlets_stop(struct run *run);
void outlets_free(struct run *run);

/* After outlets_stop: whether any sink that there was is broken, those taken out included. */
bool outlets_broken(const struct run *run);

/* Every sink there is and was. Texts are valid until the next call that changes something. */
size_t outlets_rows(struct run *run, struct summary_sink ret[static OUTLETS_ROWS_MAX]);

/* What a reload asks for. */
struct outlets_change {
	const struct options *next;
	uint32_t reading;           /* the opener's number of these options */
	void (*between)(void *arg); /* called between two sinks: opening one may take its time */
	void *arg;
};

/* What a reload will do. */
struct outlets_plan {
	struct sink *sinks[OPTIONS_SINKS_MAX];
	struct outlet known[OPTIONS_SINKS_MAX];
	bool stays[OPTIONS_SINKS_MAX];
	bool was_full[OPTIONS_SINKS_MAX]; /* of those that stay */
	size_t count;
	uint32_t reading;
};

/*
 * Opens what these options have and the run has not. Nothing has changed yet. 0, or -errno and
 * error holds one line. Only while nothing is ending.
 */
int outlets_plan(struct run *run, const struct outlets_change *change, struct outlets_plan *ret,
	char error[static OPTIONS_ERROR_MAX]);
/* Closes again what was opened. */
void outlets_forget(struct outlets_plan *plan);
/*
 * From now on the plan's sinks; the pipeline has them already, and not had a packet since. The
 * opener is told. The others begin to end.
 */
void outlets_commit(struct run *run, struct outlets_plan *plan);
/* Takes what has ended out; false while something is still ending. */
bool outlets_reap(struct run *run);

#endif
