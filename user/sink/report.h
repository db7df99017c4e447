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
#include "sink/spool.h"

/* Why frames wait or are lost. */
enum report_reason {
	REPORT_CONNECT,   /* no file, nobody there, no address, a TLS handshake that failed */
	REPORT_HANDSHAKE, /* there, but no collector */
	REPORT_CLOSED,    /* a connection that the other end closed */
	REPORT_TIMEOUT,   /* ... on which it did nothing in time */
	REPORT_PROTOCOL,  /* ... on which it said what no collector says */
	REPORT_ERROR,     /* ... that the system ended */
	REPORT_DISK_FULL,
	REPORT_QUEUE_FULL,
	REPORT_SPOOL,    /* it takes nothing: no room, no folder, ... */
	REPORT_GIVEN_UP, /* the oldest of the spool */
	REPORT_REASONS,
};

struct report {
	const char *name; /* the sink, as the user wrote it */
	struct log_limit limits[REPORT_REASONS];
	bool file;                     /* it is no connection */
	bool spooled;                  /* what a broken connection took is sent again */
	bool well;                     /* the last line was not of bad news */
	uint64_t queue_full, given_up; /* frames, as last told */
};

/* Why a connection ended; error is -errno. */
enum report_reason report_reason(int error);

/* note: constant text to go with it, or NULL. */
void report_connected(struct report *report, const char *note);
/* Errors are -errno. greeted: it was there but did not do the handshake. why: constant or NULL. */
void report_no_connection(struct report *report, int error, bool greeted, const char *why);
void report_lost(struct report *report, int error, const char *why, uint64_t frames);
/* A file that cannot be opened, or is open and cannot be written: messages wait. */
enum report_reason report_file_reason(int error, bool open);
void report_file(struct report *report, int error, bool open, const char *why);
/* It takes messages; nothing is said when it always did. */
void report_file_well(struct report *report);
/* frames lost since the start because the queue was full; nothing is said when none are new. */
void report_queue_full(struct report *report, uint64_t frames);
/* At the start: what an earlier run has left in the spool; nothing is said when it is nothing. */
void report_recovered(struct report *report, const struct spool_counts *found);
void report_spool(struct report *report, int error);
/* As report_queue_full, for what the spool gave up to make room. */
void report_given_up(struct report *report, uint64_t frames);
/* Said each time: one of many files is whole. name: NULL for a file that is the only one. */
void report_finished(struct report *report, const char *name, uint64_t frames);
/* At the end: without FINISH, or the file could not be closed whole. */
void report_unfinished(struct report *report, int error, uint64_t frames);
void report_failed(struct report *report, int error, const char *why);

#endif
