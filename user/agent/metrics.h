/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --metrics: what the tap counts, over HTTP, for Prometheus and for whoever wants to know whether
 * it works.
 *
 *   /metrics   everything, in the text exposition format
 *   /healthz   200 while the loop runs that would answer
 *   /readyz    200 while an interface is watched and each sink is connected, or is a file or
 *              standard output that works; else 503 with a line for each reason
 *
 * All of it is gathered when it is asked for, between two drains of the ring, into one buffer of
 * METRICS_SIZE; no more than one exposition in METRICS_PAUSE_MS is made, others get the same again,
 * so that who asks all the time costs the loop next to nothing. NULL for all functions is fine:
 * nobody asked for metrics.
 *
 * metrics_new opens what needs the rights of the start; it is told later what to tell of. It logs.
 * One thread, the pipeline's.
 */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/reload.h"
#include "agent/run.h"
#include "agent/taps.h"
#include "capture/loader.h"

enum {
	METRICS_SIZE = 512 * 1024, /* bytes; 24 sinks with the longest labels need 350 KiB */
	METRICS_PAUSE_MS = 50,
};

/* All is the caller's and outlives the metrics. */
struct metrics_view {
	struct run *run;
	struct loader *loader;
	struct taps *taps;
	const struct reload *reload;
	const char *ring;
	void (*refresh)(void *arg); /* brings what the kernel counted into the ledger */
	void *arg;
};

struct metrics;

/* *ret is NULL where the options name no endpoint. 0, or -errno after a line was logged. */
int metrics_new(const struct options *options, struct metrics **ret);
void metrics_free(struct metrics *metrics);
/* Until then nobody is answered. */
void metrics_begin(struct metrics *metrics, const struct metrics_view *view);

/* Readable when metrics_run has something to do; -1 without metrics. */
int metrics_fd(const struct metrics *metrics);
/* now: monotonic ns. */
void metrics_run(struct metrics *metrics, uint64_t now);
/* When metrics_run must be called in any case, monotonic ns; UINT64_MAX: never. */
uint64_t metrics_next(const struct metrics *metrics);

#endif
