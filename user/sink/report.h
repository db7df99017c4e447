/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a sink's thread says to the person who runs the tap: one line a minute for each reason, so
 * that a collector that flaps does not fill the log; and when the last line was of bad news, one
 * that it is well again. Threads: the sender's.
 */
#ifndef SINK_REPORT_H
#define SINK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

struct report {
	const char *name; /* the sink, as the user wrote it */
	struct log_limit no_connection, lost, disk_full;
	bool well; /* the last line said "connected" */
};

/* Errors are -errno. */
void report_connected(struct report *report);
/* greeted: it was there but did not do the handshake. why: constant text or NULL. */
void report_no_connection(struct report *report, int error, bool greeted, const char *why);
void report_lost(struct report *report, int error, uint64_t frames);
void report_disk_full(struct report *report);
/* At the end: without FINISH, or the file could not be closed whole. */
void report_unfinished(struct report *report, int error, uint64_t frames);
void report_failed(struct report *report, int error);

#endif
