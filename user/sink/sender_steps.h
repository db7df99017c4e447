/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender from the inside: what sender.c begins and ends and sender_steps.c, its thread, works
 * with. For these two alone. Threads: as said of each member; the last ones are the thread's own.
 */
#ifndef SINK_SENDER_STEPS_H
#define SINK_SENDER_STEPS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/feed.h"
#include "sink/output.h"
#include "sink/report.h"
#include "sink/retry.h"
#include "sink/sender.h"
#include "sink/wait.h"

struct sender {
	struct queue *queue;
	struct feed *feed;
	struct spool *spool; /* NULL: none */
	struct transport *transport;
	struct output *output;
	struct wait wait;
	struct report report;
	pthread_mutex_t lock; /* for counts */
	struct sender_counts counts;
	const _Atomic uint64_t *lost_queue_full;
	atomic_int error;   /* why it can never send again, -errno; 0: it can */
	atomic_bool reopen; /* asked for */
	int failure_fd;
	pthread_t thread;
	bool running;

	/* the thread's own */
	bool open;
	uint64_t claimed_max; /* bytes of the spool that may wait for FINISH */
	bool resting;         /* a file was finished: the next is opened for its first frame */
	bool waiting;         /* a file cannot be opened or written just now */
	bool refused;         /* ... also at the exit */
	uint64_t opened;      /* monotonic ns */
	uint64_t progress;    /* monotonic ns when bytes were taken last */
	unsigned int tries;   /* connections tried in all */
	bool tried_at_stop;
	bool sleeping; /* on the queue: what comes in is seen after it */
	struct retry retry;
};

/* A file or a device: nobody at its other end comes and goes. */
static inline bool sender_is_file(const struct sender *s)
{
	return s->transport->framed && !s->transport->remote;
}

/* The thread; arg: the sender. */
void *sender_run(void *arg);
/* What is queued still is lost. The thread's, or after its end. */
void sender_discard_queue(struct sender *sender);
/* Around each sleep of a sender with a spool; arg: the sender. */
void sender_before_sleep(void *arg);
void sender_after_sleep(void *arg);

#endif
