/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A queue of byte strings between two threads, bounded in bytes, without locks.
 *
 * The items stand in one ring as u32 length + bytes, each in one piece, so the reader uses them in
 * place. The memory is the capacity plus one longest item: an item that starts before the end of
 * the capacity may run over it, and only then the next starts at 0. So no room is lost at the
 * seam, and what is promised (an item fits when its bytes are free) holds at every place.
 *
 * Reading and releasing are apart: a cursor walks ahead as far as it likes, and queue_release
 * gives back all before it once their bytes were taken by the system.
 *
 * Sleeping. Each side that wants to sleep raises a flag with an atomic exchange and looks again;
 * the other side changes its index and then exchanges the flag. Exchanges of one flag have one
 * order, so at least one of the two sees the other: no wake-up is lost and no fence is needed.
 * The writer pays one exchange for each queue_flush, the reader one for each queue_release.
 *
 * Threads: one writer, one reader; queue_wake, queue_close and queue_closed from any.
 */
#ifndef SINK_QUEUE_H
#define SINK_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/* the longest item: both messages of an exchange, base64 in one line, are 180 KiB */
	QUEUE_ITEM_MAX = 256 * 1024,
	QUEUE_ITEM_OVERHEAD = 4, /* bytes that an item takes beside its own */
};

struct queue;

/* capacity in bytes, overheads included. 0 or -errno. */
int queue_new(size_t capacity, struct queue **ret);
void queue_free(struct queue *queue);

/* Writer: room for an item, to be filled and committed; NULL: none now, or too long for ever. */
void *queue_reserve(struct queue *queue, size_t len);
void queue_commit(struct queue *queue);
/* Writer: wakes the reader if it sleeps and something was committed since the last call. */
void queue_flush(struct queue *queue);
/*
 * Writer: sleeps until queue_reserve(len) succeeds and, so as not to wake for each item, half of
 * the queue is free. false: the queue was closed, the item can never fit, or interrupt_fd (-1:
 * none) became readable.
 */
bool queue_wait_for_room(struct queue *queue, size_t len, int interrupt_fd);

struct queue_cursor {
	uint64_t position; /* bytes ever queued before it */
	size_t offset;     /* where in the ring */
};

/* Reader: a cursor at the oldest item. */
struct queue_cursor queue_oldest(const struct queue *queue);
/* Reader: the item at the cursor, which moves behind it; false: none. Valid until released. */
bool queue_next(
	struct queue *queue, struct queue_cursor *at, const void **ret_bytes, size_t *ret_len);
/* Reader: gives back the room of all before the cursor. */
void queue_release(struct queue *queue, const struct queue_cursor *upto);
bool queue_empty(struct queue *queue);

/* Bytes that are taken, overheads included, and that there are. Any thread. */
size_t queue_used(const struct queue *queue);
size_t queue_capacity(const struct queue *queue);

/* Reader: true: sleep now on queue_wake_fd; false: something is there. After the sleep: awake. */
bool queue_may_sleep(struct queue *queue);
void queue_awake(struct queue *queue);
/* An eventfd that is readable when the reader must look; the reader drains it. */
int queue_wake_fd(const struct queue *queue);
/* Makes queue_wake_fd readable whether the reader sleeps or not. */
void queue_wake(struct queue *queue);

/* No item comes in any more, and a writer who waits returns. What is queued can be read. */
void queue_close(struct queue *queue);

#endif
