/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread of a sink: takes what is queued to its transport, connects again when the connection
 * is lost, and counts what became of every frame.
 *
 * A batch is gathered from the queue and flushed with one system call. When that fails, the bytes
 * taken by the system tell which frames went out whole: these leave the queue (they may have been
 * received, so they are never sent again), the others stay and go first on the next connection.
 *
 * While idle it sleeps on the queue's wake-up and the connection at once, so a collector's end is
 * seen without anything to send. Reconnecting: 10 ms, doubling to 500 ms, each shortened by up to
 * half at random; from 10 ms again after a connection that held for a second.
 *
 * Logs one line a minute for each reason. Blocks all signals. Ownership: sender_free ends with
 * the thread joined; the queue and the transport stay the caller's.
 */
#ifndef SINK_SENDER_H
#define SINK_SENDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/queue.h"
#include "sink/sink.h"
#include "sink/transport.h"

/*
 * All only grow, each after what it counts has happened, and sent before what becomes of it: who
 * reads from the bottom up never sees more of the later than of the earlier.
 */
struct sender_counts {
	_Atomic uint64_t sent; /* frames taken whole by the system */
	_Atomic uint64_t confirmed;
	_Atomic uint64_t unconfirmed;
	_Atomic uint64_t lost_undelivered;
	_Atomic uint64_t connections;
};

struct sender;

/* Starts the thread. name is for the log and must outlive it. 0 or -errno. */
int sender_new(const char *name, const struct sink_options *options, struct queue *queue,
	struct transport *transport, struct sender **ret);
/* Begins the end: what is queued goes out, within its time. Any thread or signal handler. */
void sender_stop(struct sender *sender);
/* Waits for the end. What is still queued then is counted lost. */
void sender_join(struct sender *sender);
void sender_free(struct sender *sender);

const struct sender_counts *sender_counts(const struct sender *sender);
/* True when it can never send again; it goes on emptying the queue. */
bool sender_failed(const struct sender *sender);

#endif
