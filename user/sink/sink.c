/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/sink.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/queue.h"
#include "sink/sender.h"
#include "sink/transport.h"

struct sink {
	struct sink_url url;
	struct queue *queue;
	struct spool *spool;
	struct transport *transport;
	struct sender *sender;
	bool wait_for_room;
	int interrupt_fd;
	_Atomic uint64_t accepted; /* frames that went into the queue */
	_Atomic uint64_t lost_queue_full;
};

static int fail(const struct sink_url *url, int rc, char *error, size_t error_size)
{
	snprintf(error, error_size, "sink '%.200s': cannot start: %s", url->text, strerror(-rc));
	return rc;
}

/* Only a live tap's sockets: a replay waits for its collector, and a file is there. */
static int open_spool(
	struct sink *sink, const struct sink_options *options, char *error, size_t error_size)
{
	const struct sink_settings *s = &sink->url.settings;
	const char *folder = sink_setting(s, s->spool, options->spool);
	uint64_t size = s->spool_size ? s->spool_size : options->spool_size;
	char hint[300] = "";
	int rc;

	if (!folder || sink->wait_for_room || sink->url.kind == SINK_FILE ||
		sink->url.kind == SINK_LINES)
		return 0;
	rc = spool_new(sink_files(options), folder, &sink->url, size ? size : SINK_SPOOL_DEFAULT,
		&sink->spool, hint, sizeof(hint));
	if (rc && *hint)
		snprintf(error, error_size, "sink '%.200s': cannot use %s", sink->url.text, hint);
	else if (rc)
		fail(&sink->url, rc, error, error_size);
	return rc;
}

int sink_new(const struct sink_url *url, const struct sink_options *options, struct sink **ret,
	char *error, size_t error_size)
{
	const size_t queue_size =
		url->settings.queue_size ? url->settings.queue_size : options->queue_size;
	struct sink *sink = calloc(1, sizeof(*sink));
	int rc;

	if (!sink)
		return fail(url, -ENOMEM, error, error_size);
	if (queue_size < SINK_QUEUE_MIN || queue_size > SINK_QUEUE_MAX) {
		rc = fail(url, -EINVAL, error, error_size);
		goto out;
	}
	sink->url = *url;
	sink->wait_for_room = options->wait_for_room;
	sink->interrupt_fd = options->interrupt_fd > 0 ? options->interrupt_fd : -1;
	rc = transport_new(url, options, &sink->transport, error, error_size);
	if (!rc)
		rc = open_spool(sink, options, error, error_size);
	if (rc)
		goto out;
	rc = queue_new(queue_size, &sink->queue);
	if (!rc)
		rc = sender_new(sink->url.text, options, sink->queue, sink->spool, sink->transport,
			&sink->lost_queue_full, &sink->sender);
	if (rc)
		fail(url, rc, error, error_size);
out:
	if (rc)
		sink_free(sink);
	else
		*ret = sink;
	return rc;
}

static void count_one(_Atomic uint64_t *count)
{
	uint64_t n = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, n + 1, memory_order_release);
}

void sink_offer(struct sink *sink, const void *bytes, size_t len)
{
	void *room = queue_reserve(sink->queue, len);

	while (!room && sink->wait_for_room &&
		queue_wait_for_room(sink->queue, len, sink->interrupt_fd))
		room = queue_reserve(sink->queue, len);
	if (!room) {
		count_one(&sink->lost_queue_full);
		return;
	}
	memcpy(room, bytes, len);
	/* before the sender can see it, so that no reader finds more sent than accepted */
	count_one(&sink->accepted);
	queue_commit(sink->queue);
}

void sink_flush(struct sink *sink)
{
	queue_flush(sink->queue);
}

void sink_reopen(struct sink *sink)
{
	sender_reopen(sink->sender);
}

void sink_stop_begin(struct sink *sink)
{
	queue_close(sink->queue);
	sender_stop(sink->sender);
}

void sink_stop(struct sink *sink)
{
	sink_stop_begin(sink);
	sender_join(sink->sender);
}

bool sink_ended(const struct sink *sink)
{
	struct sender_counts c;

	sender_read_counts(sink->sender, &c);
	return c.ended;
}

void sink_set_full(struct sink *sink, bool full)
{
	sink->url.full = full;
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->sender)
		sink_stop(sink);
	sender_free(sink->sender);
	transport_free(sink->transport);
	queue_free(sink->queue);
	spool_free(sink->spool);
	free(sink);
}

static uint64_t get(const _Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_acquire);
}

/* The sender's first: what is read later can only be ahead, so nothing goes below zero. */
void sink_read_counts(const struct sink *sink, struct sink_counts *ret)
{
	struct sender_counts c;
	uint64_t accepted;

	sender_read_counts(sink->sender, &c);
	accepted = get(&sink->accepted);
	*ret = (struct sink_counts){
		.confirmed = c.confirmed,
		.unconfirmed = c.unconfirmed + c.feed.spool.given_up_sent,
		.written = c.sent - c.feed.returned - c.confirmed - c.unconfirmed,
		.queued = accepted - c.feed.left_queue - c.lost_undelivered,
		.spooled = c.feed.spool.recovered + c.feed.left_queue + c.feed.returned - c.sent -
			   c.feed.spool.given_up - c.feed.spool.given_up_sent,
		.recovered = c.feed.spool.recovered,
		.given_up = c.feed.spool.given_up,
		.resent = c.feed.spool.resent,
		.torn = c.feed.spool.torn,
		.spool_failed = c.reasons[REPORT_SPOOL],
		.lost_queue_full = get(&sink->lost_queue_full),
		.lost_undelivered = c.lost_undelivered,
		.connections = c.connections,
		.failed_connect = c.reasons[REPORT_CONNECT],
		.failed_handshake = c.reasons[REPORT_HANDSHAKE],
		.ended_closed = c.reasons[REPORT_CLOSED],
		.ended_timeout = c.reasons[REPORT_TIMEOUT],
		.ended_protocol = c.reasons[REPORT_PROTOCOL],
		.ended_error = c.reasons[REPORT_ERROR],
		.disk_full = c.reasons[REPORT_DISK_FULL],
	};
	ret->offered = accepted + ret->lost_queue_full;
}

void sink_counts_add(struct sink_counts *to, const struct sink_counts *from)
{
#define SINK_COUNT_ADD(name, kind, text) to->name += from->name;
	SINK_COUNT_LIST(SINK_COUNT_ADD)
#undef SINK_COUNT_ADD
}

void sink_read_levels(const struct sink *sink, struct sink_levels *ret)
{
	struct sender_counts c;

	sender_read_counts(sink->sender, &c);
	*ret = (struct sink_levels){
		.queue = queue_used(sink->queue),
		.queue_size = queue_capacity(sink->queue),
		.spool = c.feed.spool_bytes,
		.spool_size = sink->spool ? spool_size(sink->spool) : 0,
	};
}

const struct sink_url *sink_url(const struct sink *sink)
{
	return &sink->url;
}

bool sink_connected(const struct sink *sink)
{
	struct sender_counts c;

	if (sink_failed(sink) || !sink->transport->framed)
		return !sink_failed(sink);
	sender_read_counts(sink->sender, &c);
	return c.well;
}

bool sink_failed(const struct sink *sink)
{
	return sender_error(sink->sender) != 0;
}

bool sink_broken(const struct sink *sink)
{
	const struct transport *t = sink->transport;
	const int error = sender_error(sink->sender);
	struct sender_counts c;

	if (error)
		return t->framed || error != -EPIPE;
	sender_read_counts(sink->sender, &c);
	return t->framed && !t->remote && (c.lost_undelivered || c.unconfirmed);
}
