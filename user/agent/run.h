/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two ways to run the pipeline: live, from the rings until a signal ends it, and from a
 * capture file as fast as it can be read. Both open their source of packets first, so that a sink
 * is not touched when there is nothing to tap, then what is common to both (run_open), and both
 * return the exit status of the program.
 */
#ifndef AGENT_RUN_H
#define AGENT_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/confine.h"
#include "agent/opener.h"
#include "agent/options.h"
#include "agent/outlets.h"
#include "agent/own.h"
#include "agent/pipeline.h"
#include "base/prefixes.h"
#include "sink/sink.h"

enum { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2, RUN_IDENTITY_MAX = 256 };

/* source: where the options are read again from, on SIGHUP; NULL: they stay as they are. */
int run_live(struct options *options, const struct options_source *source);
int run_replay(const struct options *options, const struct options_source *source);

/* Name and version of the program. */
const char *run_version(void);

/* What both ways share. */
struct run {
	const struct options *options;
	struct confine confine;
	struct opener *opener;
	struct pipeline *pipeline;
	struct prefixes *local, *broadcast;
	struct sink *sinks[OPTIONS_SINKS_MAX];
	size_t sink_count;
	struct outlets outlets; /* what else is known of them */
	struct own own;
	struct extra *extra; /* NULL: none asked for */
	struct filter *filter;
	int failure_fd; /* readable when a sink can never work again; -1: not open */
	/* readable from the first SIGINT or SIGTERM on, and from the opener's end; -1: not open */
	int stop_fd;
	int stop_signal_fd; /* inside it */
	int signal_fd;      /* SIGUSR1, SIGHUP; -1: not open */
	char identity[RUN_IDENTITY_MAX];
};

#define RUN_INITIALISER                                                                            \
	{                                                                                          \
		.own = OWN_INITIALISER, .failure_fd = -1, .stop_fd = -1, .stop_signal_fd = -1,     \
		.signal_fd = -1                                                                    \
	}

/*
 * What needs the rights that the program was started with: the opener, and who it will be without
 * them. First of all, for the opener is to be small. As run_open.
 */
int run_prepare(
	struct run *run, const struct options *options, const struct options_source *source);
/* Gives the rights up; what run_open opens comes through the opener. As run_open. */
int run_confine(struct run *run);
/* How the files of sinks and the ledger are reached. */
const struct sink_files *run_files(const struct run *run);

/* The filter, which the BPF program shares: before run_open, which does it else. As run_open. */
int run_open_filter(struct run *run, const struct options *options);
/* Signals, sinks and pipeline; 0, or -errno after a line was logged. run_close undoes it. */
int run_open(struct run *run, const struct options *options);
void run_close(struct run *run);

/* What a pipeline for these options is made of, in this run. */
struct pipeline_options run_pipeline_options(struct run *run, const struct options *options);

/* Adds the prefixes of --local to run->local. 0 or -errno. */
int run_add_local(struct run *run);

/* Stops the sinks and tells the ledger; status is that of the run so far. */
int run_finish(struct run *run, int status);
/* The ledger so far, to standard error and to --ledger. 0, or -errno after a line was logged. */
int run_report(struct run *run, bool final);

/*
 * True once SIGINT or SIGTERM came or the opener has ended; it stays true, and a replay's sinks
 * wait no more.
 */
bool run_stopped(const struct run *run);
/* One of the other signals that came, or 0. */
int run_take_signal(struct run *run);
/* SIGHUP: files are finished and opened again. */
void run_reopen(struct run *run);
/* After failure_fd became readable: true when no sink is left that can work. */
bool run_sinks_gone(const struct run *run);

#endif
