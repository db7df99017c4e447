/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/sender.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sink/sender_steps.h"

static int start(struct sender *s)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&s->thread, NULL, sender_run, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->running = rc == 0;
	return -rc;
}

int sender_new(const char *name, const struct sink_options *options, struct queue *queue,
	struct spool *spool, struct transport *transport, const _Atomic uint64_t *lost_queue_full,
	struct sender **ret)
{
	struct sender *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->queue = queue;
	s->spool = spool;
	s->transport = transport;
	s->lost_queue_full = lost_queue_full;
	pthread_mutex_init(&s->lock, NULL);
	s->report.name = name;
	s->failure_fd = options->failure_fd;
	s->wait.wake_fd = queue_wake_fd(queue);
	s->wait.live = !options->wait_for_room;
	s->wait.stop_limit = SINK_STOP_MS * NS_PER_MS;
	retry_init(&s->retry, &s->reopen);
	if (spool) {
		s->claimed_max = spool_size(spool) / 4;
		s->wait.before = sender_before_sleep;
		s->wait.after = sender_after_sleep;
		s->wait.arg = s;
	}
	s->report.spooled = spool;
	s->report.file = s->report.well = s->counts.well = sender_is_file(s);
	rc = feed_new(queue, spool, &s->feed);
	if (!rc) {
		s->counts.feed = *feed_counts(s->feed);
		rc = output_new(transport, &s->wait, &s->output);
	}
	if (!rc)
		rc = start(s);
	if (rc) {
		sender_free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void sender_stop(struct sender *s)
{
	uint64_t not_yet = 0;

	if (atomic_compare_exchange_strong(&s->wait.stop_began, &not_yet, clock_monotonic()))
		queue_wake(s->queue);
}

void sender_reopen(struct sender *s)
{
	atomic_store(&s->reopen, true);
	queue_wake(s->queue);
}

void sender_join(struct sender *s)
{
	if (!s->running)
		return;
	pthread_join(s->thread, NULL);
	s->running = false;
	sender_discard_queue(s);
}

void sender_free(struct sender *s)
{
	if (!s)
		return;
	sender_stop(s);
	sender_join(s);
	output_free(s->output);
	feed_free(s->feed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void sender_read_counts(struct sender *s, struct sender_counts *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->counts;
	pthread_mutex_unlock(&s->lock);
}

int sender_error(const struct sender *s)
{
	return atomic_load_explicit(&s->error, memory_order_acquire);
}
