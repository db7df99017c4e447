/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/feed.h"

#include <errno.h>
#include <stdlib.h>

enum {
	BATCH_FRAMES = 8192,
	/* commits of one move: so much of a queue that fills as fast as it is emptied */
	MOVE_COMMITS = 64,
};

struct feed {
	struct queue *queue;
	struct spool *spool;
	bool straight;   /* the batch on its way is the queue's */
	size_t count;    /* frames of the batch, when it is the spool's */
	uint64_t unsent; /* of these, at its end, after a flush that failed */
	struct feed_counts counts;
	size_t sizes[BATCH_FRAMES]; /* bytes of each in the stream */
};

int feed_new(struct queue *queue, struct spool *spool, struct feed **ret)
{
	struct feed *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->queue = queue;
	f->spool = spool;
	*ret = f;
	return 0;
}

void feed_free(struct feed *f)
{
	free(f);
}

/* As much as one commit takes; *ret_more: the queue is not empty yet. */
static int move_some(struct feed *f, bool *ret_more)
{
	struct queue_cursor at = queue_oldest(f->queue), next = at;
	uint64_t frames = 0;
	const void *bytes;
	size_t len;
	int rc;

	*ret_more = false;
	while (queue_next(f->queue, &next, &bytes, &len)) {
		if (!spool_put(f->spool, bytes, len)) {
			*ret_more = true;
			break;
		}
		at = next;
		frames++;
	}
	rc = spool_commit(f->spool);
	if (rc || !frames)
		return rc;
	f->counts.left_queue += frames;
	queue_release(f->queue, &at);
	return 0;
}

int feed_move(struct feed *f)
{
	bool more = true;
	int rc = 0;

	if (!f->spool || f->straight)
		return 0;
	for (int i = 0; i < MOVE_COMMITS && more && !rc; i++)
		rc = move_some(f, &more);
	return rc;
}

bool feed_empty(const struct feed *f)
{
	return (!f->spool || spool_empty(f->spool)) && queue_empty(f->queue);
}

static int gather_queue(struct feed *f, struct output *output)
{
	struct queue_cursor at = queue_oldest(f->queue);
	const void *bytes;
	size_t len;
	int rc = 0;

	while (!rc && !output_full(output) && queue_next(f->queue, &at, &bytes, &len))
		rc = output_put(output, bytes, len);
	return rc;
}

/* Claimed before it is on its way: what is given up meanwhile is then not counted as waiting. */
static int gather_spool(struct feed *f, struct output *output)
{
	struct spool_cursor at = spool_oldest(f->spool);
	const void *bytes;
	size_t len;
	int rc = 0;

	while (!rc && f->count < BATCH_FRAMES && !output_full(output) &&
		spool_next(f->spool, &at, &bytes, &len)) {
		rc = output_put(output, bytes, len);
		if (!rc)
			f->sizes[f->count++] = output_size(output, len);
	}
	if (!rc && !f->count)
		rc = spool_trouble(f->spool);
	if (!rc)
		spool_claim(f->spool, &at);
	return rc;
}

int feed_gather(struct feed *f, struct output *output)
{
	f->straight = !f->spool || spool_empty(f->spool);
	f->count = 0;
	return f->straight ? gather_queue(f, output) : gather_spool(f, output);
}

static uint64_t taken_of_spool(struct feed *f, size_t *left)
{
	uint64_t frames = 0;

	while (frames < f->count && *left >= f->sizes[frames])
		*left -= f->sizes[frames++];
	f->unsent = f->count - frames;
	f->count = 0;
	return frames;
}

static uint64_t taken_of_queue(struct feed *f, const struct output *output, size_t *left)
{
	struct queue_cursor at = queue_oldest(f->queue), next = at;
	uint64_t frames = 0;
	const void *bytes;
	size_t len;

	while (*left > 0 && queue_next(f->queue, &next, &bytes, &len)) {
		if (output_size(output, len) > *left)
			break;
		*left -= output_size(output, len);
		at = next;
		frames++;
	}
	f->straight = false;
	f->counts.left_queue += frames;
	if (frames)
		queue_release(f->queue, &at);
	return frames;
}

uint64_t feed_taken(struct feed *f, const struct output *output, size_t *ret_torn)
{
	*ret_torn = output_taken(output);
	return f->straight ? taken_of_queue(f, output, ret_torn) : taken_of_spool(f, ret_torn);
}

uint64_t feed_settle(struct feed *f, bool delivered)
{
	uint64_t frames = 0;

	f->straight = false;
	if (f->spool)
		frames = spool_settle(f->spool, delivered, f->unsent);
	f->unsent = 0;
	f->counts.returned += frames;
	return frames;
}

uint64_t feed_discard(struct feed *f)
{
	struct queue_cursor at = queue_oldest(f->queue);
	const void *bytes;
	uint64_t frames = 0;
	size_t len;

	while (queue_next(f->queue, &at, &bytes, &len))
		frames++;
	queue_release(f->queue, &at);
	return frames;
}

const struct feed_counts *feed_counts(struct feed *f)
{
	if (f->spool) {
		f->counts.spool = *spool_counts(f->spool);
		f->counts.spool_bytes = spool_used(f->spool);
	}
	return &f->counts;
}
