/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sink/queue.h"

enum { CAPACITY = 128 * 1024, MILLIONS = 2 * 1000 * 1000, WAITERS = 200 * 1000 };

static bool push(struct queue *q, const void *bytes, size_t len)
{
	void *room = queue_reserve(q, len);

	if (!room)
		return false;
	memcpy(room, bytes, len);
	queue_commit(q);
	return true;
}

/* Takes the oldest item and checks its length and that each byte is as given. */
static void pop(struct queue *q, size_t want_len, uint8_t want_byte)
{
	struct queue_cursor at = queue_oldest(q);
	const uint8_t *bytes;
	const void *item;
	size_t len;

	assert_true(queue_next(q, &at, &item, &len));
	assert_int_equal(len, want_len);
	bytes = item;
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], want_byte);
	queue_release(q, &at);
}

static struct queue *new_queue(void)
{
	struct queue *q;

	assert_int_equal(queue_new(CAPACITY, &q), 0);
	return q;
}

static void items_come_out_as_they_went_in(void **state)
{
	struct queue *q = new_queue();
	struct queue_cursor at = queue_oldest(q);
	const void *bytes;
	size_t len;

	(void)state;
	assert_true(queue_empty(q));
	assert_false(queue_next(q, &at, &bytes, &len));
	assert_true(push(q, "one", 3));
	assert_true(push(q, "", 0));
	assert_true(push(q, "three", 5));
	assert_false(queue_empty(q));
	assert_true(queue_next(q, &at, &bytes, &len));
	assert_memory_equal(bytes, "one", 3);
	assert_true(queue_next(q, &at, &bytes, &len));
	assert_int_equal(len, 0);
	assert_true(queue_next(q, &at, &bytes, &len));
	assert_int_equal(len, 5);
	assert_memory_equal(bytes, "three", 5);
	assert_false(queue_next(q, &at, &bytes, &len));
	queue_free(q);
}

/* What the sender relies on when a connection breaks: reading gives nothing back by itself. */
static void what_is_not_released_is_read_again(void **state)
{
	struct queue *q = new_queue();
	struct queue_cursor at = queue_oldest(q), first;
	const void *bytes;
	size_t len;

	(void)state;
	assert_true(push(q, "a", 1));
	assert_true(push(q, "b", 1));
	assert_true(queue_next(q, &at, &bytes, &len));
	first = at;
	assert_true(queue_next(q, &at, &bytes, &len));
	assert_false(queue_empty(q));
	queue_release(q, &first);
	at = queue_oldest(q);
	assert_true(queue_next(q, &at, &bytes, &len));
	assert_memory_equal(bytes, "b", 1);
	queue_release(q, &at);
	assert_true(queue_empty(q));
	queue_free(q);
}

static void it_is_bounded_by_its_bytes_at_every_place_of_the_ring(void **state)
{
	struct queue *q = new_queue();
	static uint8_t big[96 * 1024];

	(void)state;
	/* a step that is prime to the capacity: the seam falls everywhere */
	for (unsigned int round = 0; round < 3000; round++) {
		size_t rest = CAPACITY - sizeof(big) - 2 * QUEUE_ITEM_OVERHEAD;
		uint8_t byte = (uint8_t)round;

		memset(big, byte, sizeof(big));
		assert_true(push(q, big, sizeof(big)));
		assert_null(queue_reserve(q, rest + 1));
		assert_true(push(q, big, rest));
		assert_null(queue_reserve(q, 0));
		pop(q, sizeof(big), byte);
		pop(q, rest, byte);
		assert_true(push(q, big, 7919));
		pop(q, 7919, byte);
		assert_true(queue_empty(q));
	}
	queue_free(q);
}

static void what_can_never_fit_is_refused_at_once(void **state)
{
	struct queue *q = new_queue();

	(void)state;
	assert_null(queue_reserve(q, CAPACITY - QUEUE_ITEM_OVERHEAD + 1));
	assert_null(queue_reserve(q, SIZE_MAX));
	assert_false(queue_wait_for_room(q, CAPACITY, -1));
	assert_non_null(queue_reserve(q, CAPACITY - QUEUE_ITEM_OVERHEAD));
	queue_free(q);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void the_bell_rings_only_for_a_sleeper_and_only_at_flush(void **state)
{
	struct queue *q = new_queue();

	(void)state;
	assert_true(push(q, "a", 1));
	queue_flush(q);
	assert_false(readable(queue_wake_fd(q)));
	assert_false(queue_may_sleep(q));
	pop(q, 1, 'a');
	assert_true(queue_may_sleep(q));
	queue_flush(q);
	assert_false(readable(queue_wake_fd(q)));
	assert_true(push(q, "b", 1));
	assert_false(readable(queue_wake_fd(q)));
	queue_flush(q);
	assert_true(readable(queue_wake_fd(q)));
	queue_free(q);
}

struct peer {
	struct queue *queue;
	uint64_t items;
	bool sleeps; /* the reader, when it finds nothing */
	bool wrong;
	int interrupt_fd;
};

static size_t length_of(uint64_t item)
{
	return sizeof(item) + (item * 2654435761U >> 7) % 300;
}

static void take_all_there_is(struct peer *p, uint64_t *at_item)
{
	struct queue_cursor at = queue_oldest(p->queue);
	const uint8_t *last;
	const void *bytes;
	uint64_t item;
	size_t len;

	for (int i = 0; i < 64 && queue_next(p->queue, &at, &bytes, &len); i++) {
		memcpy(&item, bytes, sizeof(item));
		last = (const uint8_t *)bytes + len - 1;
		if (item != *at_item || len != length_of(item) ||
			*last != (uint8_t)(len > sizeof(item) ? item : item >> 56))
			p->wrong = true;
		++*at_item;
	}
	queue_release(p->queue, &at);
}

static void *read_all(void *arg)
{
	struct peer *p = arg;
	struct pollfd wake = {.fd = queue_wake_fd(p->queue), .events = POLLIN};
	uint64_t item = 0, bells;

	while (item < p->items && !p->wrong) {
		take_all_there_is(p, &item);
		if (!p->sleeps || item >= p->items || !queue_may_sleep(p->queue))
			continue;
		if (poll(&wake, 1, 10000) != 1 || read(wake.fd, &bells, sizeof(bells)) < 0)
			p->wrong = true;
		queue_awake(p->queue);
	}
	return NULL;
}

static bool write_item(struct queue *q, uint64_t item, bool wait)
{
	size_t len = length_of(item);
	uint8_t *room = queue_reserve(q, len);

	while (!room && wait && queue_wait_for_room(q, len, -1))
		room = queue_reserve(q, len);
	if (!room)
		return false;
	memset(room, (uint8_t)item, len);
	memcpy(room, &item, sizeof(item));
	queue_commit(q);
	return true;
}

static void run_two_threads(uint64_t items, bool wait, unsigned int flush_each)
{
	struct peer p = {.queue = new_queue(), .items = items, .sleeps = wait};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, read_all, &p), 0);
	for (uint64_t item = 0; item < items;) {
		if (write_item(p.queue, item, wait))
			item++;
		if (item % flush_each == 0)
			queue_flush(p.queue);
	}
	queue_flush(p.queue);
	pthread_join(thread, NULL);
	assert_false(p.wrong);
	assert_true(queue_empty(p.queue));
	queue_free(p.queue);
}

static void two_threads_busy(void **state)
{
	(void)state;
	run_two_threads(MILLIONS, false, 1000);
}

static void two_threads_that_sleep_and_wait(void **state)
{
	(void)state;
	run_two_threads(MILLIONS, true, 1000);
}

/* One item, one flush: the sleeping flag is contended each time. */
static void no_wake_up_is_lost(void **state)
{
	(void)state;
	run_two_threads(WAITERS, true, 1);
}

static void *wait_for_room(void *arg)
{
	struct peer *p = arg;

	p->wrong = queue_wait_for_room(p->queue, 1000, p->interrupt_fd);
	return NULL;
}

static void fill(struct queue *q)
{
	static const uint8_t bytes[1000];

	while (push(q, bytes, sizeof(bytes)))
		;
}

static void a_waiting_writer_is_released_by_close_and_by_interruption(void **state)
{
	const uint64_t one = 1;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct peer p = {.queue = new_queue(), .interrupt_fd = eventfd(0, EFD_CLOEXEC)};
		pthread_t thread;

		fill(p.queue);
		assert_int_equal(pthread_create(&thread, NULL, wait_for_room, &p), 0);
		if (i % 3)
			usleep(100);
		if (i % 2)
			queue_close(p.queue);
		else
			assert_int_equal(write(p.interrupt_fd, &one, sizeof(one)), sizeof(one));
		pthread_join(thread, NULL);
		assert_false(p.wrong);
		close(p.interrupt_fd);
		queue_free(p.queue);
	}
}

static void a_closed_queue_takes_nothing_and_gives_what_it_has(void **state)
{
	struct queue *q = new_queue();

	(void)state;
	assert_true(push(q, "a", 1));
	queue_close(q);
	assert_null(queue_reserve(q, 1));
	pop(q, 1, 'a');
	queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_come_out_as_they_went_in),
		cmocka_unit_test(what_is_not_released_is_read_again),
		cmocka_unit_test(it_is_bounded_by_its_bytes_at_every_place_of_the_ring),
		cmocka_unit_test(what_can_never_fit_is_refused_at_once),
		cmocka_unit_test(the_bell_rings_only_for_a_sleeper_and_only_at_flush),
		cmocka_unit_test(two_threads_busy),
		cmocka_unit_test(two_threads_that_sleep_and_wait),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(a_waiting_writer_is_released_by_close_and_by_interruption),
		cmocka_unit_test(a_closed_queue_takes_nothing_and_gives_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
