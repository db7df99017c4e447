/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/queue.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CACHE_LINE 64

struct queue {
	/* what neither side changes */
	size_t capacity;
	uint8_t *ring;
	int wake_fd; /* for the reader */
	int room_fd; /* for the writer */

	/* the writer's: head is published, the rest is its own */
	_Alignas(CACHE_LINE) _Atomic uint64_t head;
	size_t head_offset;
	size_t reserved;
	uint64_t tail_seen;
	bool unflushed;

	/* the reader's */
	_Alignas(CACHE_LINE) _Atomic uint64_t tail;
	size_t tail_offset;
	uint64_t head_seen;

	/* shared by exchange */
	_Alignas(CACHE_LINE) atomic_bool sleeping; /* the reader sleeps or is about to */
	_Atomic size_t wanted; /* free bytes that the writer waits for; 0: none */
	atomic_bool closed;
};

int queue_new(size_t capacity, struct queue **ret)
{
	struct queue *q = aligned_alloc(CACHE_LINE, sizeof(*q));
	int rc = -ENOMEM;

	if (!q)
		return rc;
	memset(q, 0, sizeof(*q));
	q->room_fd = -1;
	q->capacity = capacity;
	q->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	q->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->wake_fd < 0 || q->room_fd < 0) {
		rc = -errno;
		goto fail;
	}
	q->ring = malloc(capacity + QUEUE_ITEM_MAX + QUEUE_ITEM_OVERHEAD);
	if (!q->ring)
		goto fail;
	*ret = q;
	return 0;
fail:
	queue_free(q);
	return rc;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	if (q->wake_fd >= 0)
		close(q->wake_fd);
	if (q->room_fd >= 0)
		close(q->room_fd);
	free(q->ring);
	free(q);
}

/* An eventfd refuses only when its count would overflow, and then it is readable anyway. */
static void ring_bell(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	(void)written;
}

static void silence_bell(int fd)
{
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)got;
}

static size_t offset_after(const struct queue *q, size_t offset, size_t size)
{
	offset += size;
	return offset >= q->capacity ? 0 : offset;
}

static bool fits_ever(const struct queue *q, size_t len)
{
	return len <= QUEUE_ITEM_MAX && len + QUEUE_ITEM_OVERHEAD <= q->capacity;
}

/* Looks at the reader's index, a cache miss, only when the one seen last is not enough. */
static bool has_room(struct queue *q, size_t size)
{
	uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (head - q->tail_seen + size <= q->capacity)
		return true;
	q->tail_seen = atomic_load_explicit(&q->tail, memory_order_acquire);
	return head - q->tail_seen + size <= q->capacity;
}

void *queue_reserve(struct queue *q, size_t len)
{
	uint32_t prefix = (uint32_t)len;

	if (!fits_ever(q, len) || !has_room(q, len + QUEUE_ITEM_OVERHEAD) ||
		atomic_load_explicit(&q->closed, memory_order_relaxed))
		return NULL;
	memcpy(q->ring + q->head_offset, &prefix, sizeof(prefix));
	q->reserved = len + QUEUE_ITEM_OVERHEAD;
	return q->ring + q->head_offset + sizeof(prefix);
}

void queue_commit(struct queue *q)
{
	uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	q->head_offset = offset_after(q, q->head_offset, q->reserved);
	q->unflushed = true;
	atomic_store_explicit(&q->head, head + q->reserved, memory_order_release);
}

void queue_flush(struct queue *q)
{
	if (!q->unflushed)
		return;
	q->unflushed = false;
	if (atomic_exchange_explicit(&q->sleeping, false, memory_order_acq_rel))
		ring_bell(q->wake_fd);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Waits for either bell; false when the interruption came. */
static bool wait_for_bell(struct queue *q, int interrupt_fd)
{
	struct pollfd fds[2] = {
		{.fd = q->room_fd, .events = POLLIN},
		{.fd = interrupt_fd, .events = POLLIN},
	};

	if (poll(fds, 2, -1) < 0)
		return errno == EINTR;
	if (fds[0].revents)
		silence_bell(q->room_fd);
	return !fds[1].revents;
}

bool queue_wait_for_room(struct queue *q, size_t len, int interrupt_fd)
{
	const size_t room = larger(len + QUEUE_ITEM_OVERHEAD, q->capacity / 2);
	bool found = false;

	if (!fits_ever(q, len))
		return false;
	queue_flush(q);
	while (!atomic_load_explicit(&q->closed, memory_order_acquire)) {
		atomic_exchange_explicit(&q->wanted, room, memory_order_acq_rel);
		found = has_room(q, room);
		if (found || !wait_for_bell(q, interrupt_fd))
			break;
	}
	atomic_exchange_explicit(&q->wanted, 0, memory_order_acq_rel);
	return found;
}

struct queue_cursor queue_oldest(const struct queue *q)
{
	return (struct queue_cursor){
		.position = atomic_load_explicit(&q->tail, memory_order_relaxed),
		.offset = q->tail_offset,
	};
}

bool queue_next(struct queue *q, struct queue_cursor *at, const void **ret_bytes, size_t *ret_len)
{
	uint32_t len;

	if (at->position == q->head_seen) {
		q->head_seen = atomic_load_explicit(&q->head, memory_order_acquire);
		if (at->position == q->head_seen)
			return false;
	}
	memcpy(&len, q->ring + at->offset, sizeof(len));
	*ret_bytes = q->ring + at->offset + sizeof(len);
	*ret_len = len;
	at->position += len + QUEUE_ITEM_OVERHEAD;
	at->offset = offset_after(q, at->offset, len + QUEUE_ITEM_OVERHEAD);
	return true;
}

void queue_release(struct queue *q, const struct queue_cursor *upto)
{
	size_t wanted, used;

	q->tail_offset = upto->offset;
	atomic_store_explicit(&q->tail, upto->position, memory_order_release);
	wanted = atomic_fetch_add_explicit(&q->wanted, 0, memory_order_acq_rel);
	if (!wanted)
		return;
	used = atomic_load_explicit(&q->head, memory_order_acquire) - upto->position;
	if (q->capacity - used < wanted)
		return;
	if (atomic_exchange_explicit(&q->wanted, 0, memory_order_acq_rel))
		ring_bell(q->room_fd);
}

bool queue_empty(struct queue *q)
{
	return atomic_load_explicit(&q->tail, memory_order_relaxed) ==
	       atomic_load_explicit(&q->head, memory_order_acquire);
}

bool queue_may_sleep(struct queue *q)
{
	atomic_exchange_explicit(&q->sleeping, true, memory_order_acq_rel);
	if (queue_empty(q))
		return true;
	queue_awake(q);
	return false;
}

void queue_awake(struct queue *q)
{
	atomic_exchange_explicit(&q->sleeping, false, memory_order_acq_rel);
}

int queue_wake_fd(const struct queue *q)
{
	return q->wake_fd;
}

void queue_wake(struct queue *q)
{
	ring_bell(q->wake_fd);
}

void queue_close(struct queue *q)
{
	atomic_store_explicit(&q->closed, true, memory_order_release);
	ring_bell(q->room_fd);
}

/* The reader's first, so that the writer's is never behind it. */
size_t queue_used(const struct queue *q)
{
	uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
	uint64_t used = atomic_load_explicit(&q->head, memory_order_acquire) - tail;

	return used < q->capacity ? used : q->capacity;
}

size_t queue_capacity(const struct queue *q)
{
	return q->capacity;
}
