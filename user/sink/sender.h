/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread of a sink: takes what is queued to its transport, connects again when the connection
 * is lost, and counts what became of every frame.
 *
 * A batch is gathered from the queue and flushed with one system call. When that fails, the bytes
 * taken by the system tell which frames went out whole: these leave the queue (they may have been
 * received, so they are never sent again), the others stay and go first on the next connection.
 * With a spool they all stay until FINISH, and go again on the next connection if it does not come;
 * when a quarter of the spool waits for FINISH, the connection is ended to ask for it.
 *
 * A file that a live tap cannot open or write any more is tried again as one on a full disk is, and
 * at once when the user asks for it to be opened anew. What was torn of it is cut off first, so
 * that it can go on where it was; else what was written to it is unconfirmed.
 *
 * While idle it sleeps on the queue's wake-up and the connection at once, so a collector's end is
 * seen without anything to send. How long it waits before it connects again: sink/retry.h; from
 * the shortest time after a connection that held for a second.
 *
 * Logs one line a minute for each reason. Blocks all signals. Ownership: sender_free ends with
 * the thread joined; the queue and the transport stay the caller's.
 */
#ifndef SINK_SENDER_H
#define SINK_SENDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/feed.h"
#include "sink/queue.h"
#include "sink/report.h"
#include "sink/sink.h"
#include "sink/transport.h"

/* All but well only grow, and at every moment sent >= returned + confirmed + unconfirmed. */
struct sender_counts {
	uint64_t sent; /* frames taken whole by the system, each time */
	uint64_t confirmed;
	uint64_t unconfirmed;
	uint64_t lost_undelivered;
	uint64_t connections;
	struct feed_counts feed;
	uint64_t reasons[REPORT_REASONS]; /* times that each happened */
	bool well;                        /* now: a connection is open, a file takes what comes */
	uint64_t ended;                   /* not 0: sender_join will not wait */
};

struct sender;

/*
 * Starts the thread. spool: NULL for none. name is for the log; it and lost_queue_full, which is
 * told from time to time, must outlive it. 0 or -errno.
 */
int sender_new(const char *name, const struct sink_options *options, struct queue *queue,
	struct spool *spool, struct transport *transport, const _Atomic uint64_t *lost_queue_full,
	struct sender **ret);
/* Begins the end: what is queued goes out, within its time. Any thread or signal handler. */
void sender_stop(struct sender *sender);
/* Files: finishes what is open and opens the next, soon. Any thread or signal handler. */
void sender_reopen(struct sender *sender);
/* Waits for the end. What is still queued then is counted lost. */
void sender_join(struct sender *sender);
void sender_free(struct sender *sender);

/* All as they were at one moment. Any thread. */
void sender_read_counts(struct sender *sender, struct sender_counts *ret);
/* Why it can never send again, -errno; 0: it can. It goes on emptying the queue. */
int sender_error(const struct sender *sender);

#endif
