/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/sender_steps.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	/* of SINK_STOP_MS, what is kept for STOP and FINISH after the queue has gone out */
	STOP_CLOSE_MS = 1000,
	/* a connection that held so long was a good one */
	STEADY_MS = 1000,
};

/* The only writer is the sender's thread, so only what others read together needs the lock. */
static void count_add(struct sender *s, uint64_t *count, uint64_t n)
{
	pthread_mutex_lock(&s->lock);
	*count += n;
	s->counts.feed = *feed_counts(s->feed);
	s->counts.well = sender_is_file(s) ? !s->waiting : s->open;
	pthread_mutex_unlock(&s->lock);
}

static void count_reason(struct sender *s, enum report_reason reason)
{
	count_add(s, &s->counts.reasons[reason], 1);
}

/* Frames written to the connection that is open. */
static uint64_t written(const struct sender *s)
{
	return s->counts.sent - s->counts.feed.returned - s->counts.confirmed -
	       s->counts.unconfirmed;
}

static bool stopping(const struct sender *s)
{
	return wait_stop_began(&s->wait) != 0;
}

/* At exit a live tap's time is bounded in all; a replay goes on while its bytes are taken. */
static bool out_of_time(const struct sender *s)
{
	uint64_t began = wait_stop_began(&s->wait), limit;

	if (!began)
		return false;
	if (s->wait.live)
		limit = began + (SINK_STOP_MS - STOP_CLOSE_MS) * NS_PER_MS;
	else
		limit = (s->progress > began ? s->progress : began) + SINK_WRITE_MS * NS_PER_MS;
	return clock_monotonic() >= limit;
}

static void back_off(struct sender *s, bool near)
{
	/* what is not open is opened anew in any case */
	if (!s->open)
		atomic_store(&s->reopen, false);
	retry_pause(&s->retry, &s->wait, s->transport, near);
}

static void give_up(struct sender *s, int error)
{
	const uint64_t one = 1;

	atomic_store_explicit(&s->error, error, memory_order_release);
	/* a closed pipe is how lines end (head, a pager), not an accident */
	if (s->transport->framed || error != -EPIPE)
		report_failed(&s->report, error, s->transport->why);
	if (s->failure_fd >= 0 && write(s->failure_fd, &one, sizeof(one)) < 0)
		log_error(
			"sink %s: its failure cannot be told: %s", s->report.name, strerror(errno));
}

/*
 * What has another end may come back, and so may a file: its folder, its file system, room. A
 * replay waits for room alone, since whoever has started it waits for its end.
 */
static bool is_final(const struct sender *s, int error)
{
	if (s->transport->remote || error == -ETIMEDOUT)
		return false;
	return !sender_is_file(s) || (!s->wait.live && report_reason(error) != REPORT_DISK_FULL);
}

/* The connection has ended; error 0: as it should. */
static void settle(struct sender *s, int error)
{
	uint64_t frames = written(s), again = feed_settle(s->feed, !error);

	s->open = false;
	count_add(s,
		error || s->transport->unidirectional ? &s->counts.unconfirmed
						      : &s->counts.confirmed,
		frames - again);
	if (clock_monotonic() - s->opened >= STEADY_MS * NS_PER_MS)
		retry_reset(&s->retry);
}

static void lose(struct sender *s, int error)
{
	uint64_t frames = written(s);

	output_abort(s->output);
	s->waiting = true;
	settle(s, error);
	if (is_final(s, error)) {
		give_up(s, error);
		return;
	}
	if (s->transport->framed) {
		count_reason(s, report_reason(error));
		report_lost(&s->report, error, s->transport->why, frames);
	}
	back_off(s, true);
}

/* At exit: once for a live tap, whose collector may never have been, longer if it was there. */
static bool worth_trying(struct sender *s)
{
	bool again = s->tried_at_stop;

	if (!stopping(s) || s->tries == 0)
		return true;
	s->tried_at_stop = true;
	if (feed_empty(s->feed) || out_of_time(s))
		return false;
	return !again || !s->wait.live || s->counts.connections;
}

/*
 * A file that cannot be opened, or is open and whole, and takes nothing more. At the exit of a live
 * tap that is its end.
 */
static void wait_for_file(struct sender *s, int error)
{
	s->waiting = true;
	s->refused = stopping(s) && s->wait.live;
	count_reason(s, report_file_reason(error, s->open));
	report_file(&s->report, error, s->open, s->transport->why);
	if (!s->refused)
		back_off(s, true);
}

static void file_is_well(struct sender *s)
{
	s->waiting = false;
	retry_reset(&s->retry);
	report_file_well(&s->report);
}

static bool connect_step(struct sender *s)
{
	bool connected;
	int rc;

	if (!worth_trying(s))
		return false;
	s->tries++;
	rc = output_open(s->output, &connected);
	if (!rc) {
		s->open = true;
		s->resting = false;
		s->transport->why = NULL;
		s->opened = s->progress = clock_monotonic();
		if (sender_is_file(s))
			file_is_well(s);
		else if (s->transport->remote)
			report_connected(&s->report, s->transport->note);
		count_add(s, &s->counts.connections, 1);
	} else if (is_final(s, rc)) {
		give_up(s, rc);
	} else if (sender_is_file(s)) {
		wait_for_file(s, rc);
	} else {
		count_reason(s, connected ? REPORT_HANDSHAKE : REPORT_CONNECT);
		report_no_connection(&s->report, rc, connected, s->transport->why);
		back_off(s, false);
	}
	return true;
}

/* Counts the frames that went out whole; returns the bytes taken of the one after them. */
static size_t count_taken(struct sender *s)
{
	size_t torn;
	uint64_t frames = feed_taken(s->feed, s->output, &torn);

	if (frames == 0)
		return torn;
	s->progress = clock_monotonic();
	count_add(s, &s->counts.sent, frames);
	if (!s->transport->framed)
		count_add(s, &s->counts.confirmed, frames);
	return torn;
}

static void send_step(struct sender *s)
{
	size_t torn;
	int rc = s->transport->ops->check(s->transport);

	if (!rc)
		rc = feed_gather(s->feed, s->output);
	if (rc) {
		lose(s, rc);
		return;
	}
	rc = output_flush(s->output);
	/* a collector that takes a little and closes must hold longer: see settle */
	if (!rc && sender_is_file(s))
		file_is_well(s);
	torn = count_taken(s);
	if (rc && sender_is_file(s) && !is_final(s, rc) &&
		!s->transport->ops->cut(s->transport, torn))
		wait_for_file(s, rc);
	else if (rc)
		lose(s, rc);
}

static bool is_due(struct sender *s)
{
	const bool reopen = atomic_exchange(&s->reopen, false);
	struct transport *t = s->transport;

	if (s->spool && spool_claimed(s->spool) > s->claimed_max)
		return true;
	if (!t->ops->due || !t->ops->due(t, reopen, !written(s)))
		return false;
	s->resting = !reopen;
	return true;
}

/* The end of a connection as it should be, or almost. */
static void finish(struct sender *s)
{
	int rc = output_close(s->output);
	uint64_t frames = written(s);

	settle(s, rc);
	/* one that never says FINISH is asked less and less: it gets all of that again */
	s->claimed_max = rc ? 2 * s->claimed_max : s->spool ? spool_size(s->spool) / 4 : 0;
	if (rc)
		report_unfinished(&s->report, rc, frames);
	else if (!s->transport->remote && (s->transport->name || !stopping(s)))
		report_finished(&s->report, s->transport->name, frames);
	if (report_reason(rc) == REPORT_DISK_FULL)
		count_reason(s, REPORT_DISK_FULL);
}

/* The sink has failed: a writer that waits for room must not wait for ever. */
void sender_discard_queue(struct sender *s)
{
	count_add(s, &s->counts.lost_undelivered, feed_discard(s->feed));
}

/* What is queued goes to the disk, also while the sender waits for the collector. */
static void move_to_spool(struct sender *s)
{
	int rc = feed_move(s->feed);

	count_add(s, &s->counts.reasons[REPORT_SPOOL], rc != 0);
	if (rc)
		report_spool(&s->report, rc);
	report_given_up(&s->report, s->counts.feed.spool.given_up);
}

/* Until the queue is empty and its writer will wake us, or the disk takes no more. */
void sender_before_sleep(void *arg)
{
	struct sender *s = arg;
	uint64_t left;

	if (s->sleeping)
		return;
	do {
		left = feed_counts(s->feed)->left_queue;
		move_to_spool(s);
	} while (!queue_may_sleep(s->queue) && feed_counts(s->feed)->left_queue != left);
}

void sender_after_sleep(void *arg)
{
	struct sender *s = arg;

	if (!s->sleeping)
		queue_awake(s->queue);
}

/* Sleeps until something is queued or fd is ready; its events, or 0 or less. */
static int sleep_on_queue(struct sender *s, int fd, short watch, uint64_t until)
{
	int events = 0;

	if (!queue_may_sleep(s->queue))
		return 0;
	s->sleeping = true;
	events = wait_fd(&s->wait, fd, watch, until);
	s->sleeping = false;
	queue_awake(s->queue);
	return events;
}

/* Nothing to send: sleeps, and sees the connection end. */
static void idle_step(struct sender *s)
{
	const uint64_t until = s->transport->due ? s->transport->due : WAIT_FOREVER;
	const short gone = POLLERR | POLLHUP | POLLNVAL;
	int events = sleep_on_queue(s, s->transport->fd, s->transport->watch, until), rc;

	if (events <= 0)
		return;
	rc = s->transport->ops->check(s->transport);
	if (!rc && (events & gone))
		rc = -EPIPE;
	if (rc)
		lose(s, rc);
}

/* Nothing is open. False when there is no more to do. */
static bool closed_step(struct sender *s, bool ending)
{
	if (!s->resting || !feed_empty(s->feed))
		return connect_step(s);
	if (!ending)
		sleep_on_queue(s, -1, 0, WAIT_FOREVER);
	return !ending;
}

/* One step; false when there is no more to do. */
static bool step(struct sender *s)
{
	/* before the look into the queue: what was offered before the stop is then seen there */
	const bool ending = stopping(s);

	report_queue_full(
		&s->report, atomic_load_explicit(s->lost_queue_full, memory_order_relaxed));
	if (s->spool)
		move_to_spool(s);
	if (sender_error(s)) {
		sender_discard_queue(s);
		if (!ending)
			sleep_on_queue(s, -1, 0, WAIT_FOREVER);
		return !ending;
	}
	if (s->refused)
		return false;
	if (!s->open)
		return closed_step(s, ending);
	/* a file is rotated also while the rest of the queue goes into it */
	if ((!ending || (!s->spool && !feed_empty(s->feed))) && is_due(s)) {
		finish(s);
		return true;
	}
	if (!feed_empty(s->feed)) {
		if (out_of_time(s))
			return false;
		send_step(s);
		return true;
	}
	if (ending)
		return false;
	idle_step(s);
	return true;
}

void *sender_run(void *arg)
{
	struct sender *s = arg;

	if (s->spool)
		report_recovered(&s->report, spool_counts(s->spool));
	while (step(s))
		;
	if (s->open)
		finish(s);
	if (s->spool)
		move_to_spool(s);
	count_add(s, &s->counts.ended, 1);
	return NULL;
}
