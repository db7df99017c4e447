/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a sender's frames come from: its queue, or, with a spool, the queue by way of the spool.
 * What is queued is moved to the spool at each step and whenever the sender is about to sleep, so
 * that a collector that is away fills the disk and not the queue. While the disk takes nothing and
 * no frame waits in the spool, frames go out straight from the queue.
 *
 * A batch is gathered, handed to the system by the caller, and then what was taken is told here.
 * Ownership: queue and spool stay the caller's. Threads: the sender's.
 */
#ifndef SINK_FEED_H
#define SINK_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/output.h"
#include "sink/queue.h"
#include "sink/spool.h"

/* All but spool_bytes only grow. */
struct feed_counts {
	uint64_t left_queue; /* frames into the spool, or sent straight */
	uint64_t returned;   /* frames sent and then back in the spool */
	struct spool_counts spool;
	uint64_t spool_bytes; /* on disk now */
};

struct feed;

/* spool: NULL for none. 0 or -errno. */
int feed_new(struct queue *queue, struct spool *spool, struct feed **ret);
void feed_free(struct feed *feed);

/* Queue to spool, unless a batch of the queue's is on its way. 0 or why the spool takes nothing. */
int feed_move(struct feed *feed);
/* Nothing waits. */
bool feed_empty(const struct feed *feed);

/* Puts the oldest frames, until a batch is full. 0 or -errno. */
int feed_gather(struct feed *feed, struct output *output);
/*
 * After the flush: the frames that went out whole, which never go out again on this connection.
 * *ret_torn: the bytes taken of the one after them.
 */
uint64_t feed_taken(struct feed *feed, const struct output *output, size_t *ret_torn);
/*
 * The connection has ended. delivered: with all its frames. The number of frames sent on it that
 * will be sent again.
 */
uint64_t feed_settle(struct feed *feed, bool delivered);
/* Throws away what is queued; the number of frames. */
uint64_t feed_discard(struct feed *feed);

const struct feed_counts *feed_counts(struct feed *feed);

#endif
