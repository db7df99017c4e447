/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SIGHUP: the configuration is read again and takes the place of the one in force, as a whole or,
 * when anything is wrong with it, not at all: one line says what, and nothing has changed.
 *
 * First all that can fail is done beside what runs (the file parsed, new sinks opened, the opener's
 * list of what it may open, encoders and filters made), then all is exchanged between two packets.
 * Opening a sink takes the packet loop's time: a spool is read, TLS files are loaded, the opener is
 * asked. So what came in meanwhile is taken out of the rings between each two of them.
 * Sinks that stay are not touched. Those that are taken out end in their own time, and until they
 * have, another reload waits: it may name their places again. What cannot change while the tap runs
 * is told in one line each and stays.
 *
 * Ownership: all that the struct points to is the caller's and outlives it. It logs.
 * Threads: the pipeline's.
 */
#ifndef AGENT_RELOAD_H
#define AGENT_RELOAD_H

#include <stdbool.h>

#include "agent/options.h"
#include "agent/run.h"
#include "capture/loader.h"

enum { RELOAD_STEP_MS = 20 };

struct reload {
	struct run *run;
	struct loader *loader;
	struct options *options;             /* in force; changed by a reload, strings and all */
	const struct options_source *source; /* NULL: nothing is ever reloaded */
	void (*drain)(void *arg); /* takes all that was recorded until now into the pipeline */
	void *drain_arg;
	bool asked;
	bool keeps_before;     /* the opener: for what is ending */
	uint64_t done, failed; /* how often */
};

/* SIGHUP came; without --config there is nothing to do. */
void reload_ask(struct reload *reload);
/* True when reload_step has something to do, now or within RELOAD_STEP_MS. */
bool reload_due(const struct reload *reload);
/* True after the options changed: what the caller made of them may have to follow. */
bool reload_step(struct reload *reload);

#endif
