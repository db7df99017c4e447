/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/reader.h"

#include <linux/perf_event.h>
#include <string.h>

#include "capture/assembly.h"

/*
 * The program has no barrier between a record and the lane's head. These processors show the
 * stores of another CPU in their order; on others a record is taken one drain after it was
 * published, milliseconds later.
 */
#if defined(__x86_64__) || defined(__i386__) || defined(__s390x__)
enum { STORES_IN_ORDER = true };
#else
enum { STORES_IN_ORDER = false };
#endif

/* What stands before the raw data of a PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW alone. */
struct sample_head {
	struct perf_event_header header;
	uint32_t size;
};

/* The event at the reader's tail, in one piece. */
static const struct perf_event_header *event_at_tail(struct reader *r)
{
	const struct perf_event_header *event;
	uint64_t at = r->tail & r->mask, until_end = r->mask + 1 - at;

	event = (const void *)(r->data + at);
	if (event->size > until_end) {
		uint16_t size = event->size; /* the header itself never wraps: it is aligned */

		memcpy(r->wrapped, r->data + at, until_end);
		memcpy(r->wrapped + until_end, r->data, size - until_end);
		event = (const void *)r->wrapped;
	}
	return event;
}

/* False: not a sample. PERF_RECORD_LOST repeats what the program counted itself. */
static bool take_event(struct reader *r)
{
	const struct perf_event_header *event = event_at_tail(r);
	struct sample_head head;

	/* An event without a size never comes; it would not end. */
	r->event_size = event->size ? event->size : (uint32_t)(r->head - r->tail);
	if (event->type != PERF_RECORD_SAMPLE || event->size < sizeof(head))
		return false;
	memcpy(&head, event, sizeof(head));
	r->sample = (const uint8_t *)event + sizeof(head);
	r->sample_size = event->size - sizeof(head);
	if (head.size < r->sample_size)
		r->sample_size = head.size;
	return true;
}

static bool take_record(struct reader *r)
{
	uint64_t chunk = r->tail / LANE_CHUNK & r->mask;
	struct record record;

	r->sample = r->data + chunk * (LANE_CHUNK + LANE_SLACK) + r->tail % LANE_CHUNK;
	memcpy(&record, r->sample, sizeof(record));
	r->sample_size = sizeof(record) + record.have;
	r->event_size = (r->sample_size + LANE_ALIGN - 1) / LANE_ALIGN * LANE_ALIGN;
	if (record.have <= RECORD_BYTES_MAX && r->event_size <= r->head - r->tail)
		return true;
	/* Never comes: counted as one broken record, for nothing behind it can be found. */
	r->sample_size = 0;
	r->event_size = (uint32_t)(r->head - r->tail);
	return true;
}

bool reader_peek(struct reader *r)
{
	while (r->tail != r->head) {
		if (r->page ? take_event(r) : take_record(r)) {
			r->time = assembly_peek_time(r->sample, r->sample_size);
			return true;
		}
		r->tail += r->event_size;
	}
	r->sample = NULL;
	r->time = UINT64_MAX;
	return false;
}

uint64_t reader_published(const struct reader *r)
{
	const void *head = r->page ? (void *)&r->page->data_head : (void *)&r->ends->head;

	return __atomic_load_n((const uint64_t *)head, __ATOMIC_ACQUIRE);
}

uint64_t reader_size(const struct reader *r)
{
	return (r->mask + 1) * (r->page ? 1 : LANE_CHUNK);
}

void reader_open(struct reader *r, bool all)
{
	uint64_t published = reader_published(r);

	r->head = r->page || STORES_IN_ORDER || all ? published : r->published;
	r->published = published;
	reader_peek(r);
}

void reader_step(struct reader *r)
{
	r->tail += r->event_size;
}

void reader_close(struct reader *r)
{
	void *tail = r->page ? (void *)&r->page->data_tail : (void *)&r->ends->tail;

	__atomic_store_n((uint64_t *)tail, r->tail, __ATOMIC_RELEASE);
}

bool reader_behind(const struct reader *r)
{
	return r->head != r->published;
}
