/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/rings.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/assembly.h"

/* Room for one perf sample that wraps around the end of its ring. */
enum { SAMPLE_MAX = 65536 };

/* Samples read before their room is given back: often enough that a long run frees the ring. */
enum { RELEASE_EVERY = 64 };

/* What stands before the raw data of a PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW alone. */
struct sample_head {
	struct perf_event_header header;
	uint32_t size;
};

/* One CPU's perf ring. */
struct reader {
	struct perf_event_mmap_page *page;
	const uint8_t *data;
	uint64_t mask;         /* data size - 1 */
	uint64_t head, tail;   /* bytes; the kernel writes up to head, we have read up to tail */
	uint64_t time;         /* of the sample at tail */
	const uint8_t *sample; /* its raw data; NULL: none at hand */
	uint32_t sample_size;  /* of the raw data */
	uint32_t event_size;   /* of the whole event */
	uint8_t wrapped[SAMPLE_MAX];
};

struct rings {
	struct perf_buffer *perf;
	struct reader *readers;
	size_t reader_count;

	struct ring_buffer *ring;
	uint8_t *positions; /* two pages of the BPF ring: how far it is read, how far written */
	uint64_t ring_size; /* bytes, of the BPF ring */
	captured_fn *fn;    /* of the drain under way */
	void *arg;
	size_t drained;
	uint64_t before; /* of that drain too */

	bool waiting;
	uint64_t peak; /* bytes waiting in one ring when a drain began */
	struct assembly assembly;
};

/* The event at the reader's tail, in one piece; NULL when there is none. */
static const struct perf_event_header *event_at_tail(struct reader *r)
{
	const struct perf_event_header *event;
	uint64_t at = r->tail & r->mask, until_end = r->mask + 1 - at;

	if (r->tail == r->head)
		return NULL;
	event = (const void *)(r->data + at);
	if (event->size > until_end) {
		uint16_t size = event->size; /* the header itself never wraps: it is aligned */

		memcpy(r->wrapped, r->data + at, until_end);
		memcpy(r->wrapped + until_end, r->data, size - until_end);
		event = (const void *)r->wrapped;
	}
	return event;
}

/* Steps over what is not a sample; PERF_RECORD_LOST repeats what the program counted itself. */
static bool reader_peek(struct reader *r)
{
	const struct perf_event_header *event;

	while ((event = event_at_tail(r))) {
		struct sample_head head;

		r->event_size = event->size;
		if (event->type == PERF_RECORD_SAMPLE && event->size >= sizeof(head)) {
			memcpy(&head, event, sizeof(head));
			r->sample = (const uint8_t *)event + sizeof(head);
			r->sample_size = event->size - sizeof(head);
			if (head.size < r->sample_size)
				r->sample_size = head.size;
			r->time = assembly_peek_time(r->sample, r->sample_size);
			return true;
		}
		if (!event->size)
			break; /* never happens; it would not end */
		r->tail += event->size;
	}
	r->sample = NULL;
	r->time = UINT64_MAX;
	return false;
}

static void reader_open(struct reader *r)
{
	r->head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	reader_peek(r);
}

/* Gives what was read back to the kernel. */
static void reader_close(struct reader *r)
{
	__atomic_store_n(&r->page->data_tail, r->tail, __ATOMIC_RELEASE);
}

static struct reader *earliest(struct rings *rings, uint64_t *ret_next)
{
	struct reader *first = NULL;

	*ret_next = UINT64_MAX;
	for (size_t i = 0; i < rings->reader_count; i++) {
		struct reader *r = &rings->readers[i];

		if (!first || r->time < first->time) {
			if (first)
				*ret_next = first->time;
			first = r;
		} else if (r->time < *ret_next) {
			*ret_next = r->time;
		}
	}
	return first;
}

/* One reader's samples for as long as they are the earliest of all. */
static size_t drain_run(
	struct rings *rings, struct reader *r, uint64_t until, captured_fn *fn, void *arg)
{
	size_t packets = 0, samples = 0;

	do {
		packets += assembly_take(&rings->assembly, r->sample, r->sample_size, fn, arg);
		r->tail += r->event_size;
		if (++samples % RELEASE_EVERY == 0)
			reader_close(r);
	} while (reader_peek(r) && r->time <= until);
	return packets;
}

static size_t drain_perf(struct rings *rings, uint64_t before, captured_fn *fn, void *arg)
{
	struct reader *r;
	uint64_t next;
	size_t packets = 0;

	for (size_t i = 0; i < rings->reader_count; i++) {
		struct reader *reader = &rings->readers[i];

		reader_open(reader);
		if (reader->head - reader->tail > rings->peak)
			rings->peak = reader->head - reader->tail;
	}
	while ((r = earliest(rings, &next)) && r->sample && r->time < before) {
		uint64_t until = next < before ? next : before - 1;

		packets += drain_run(rings, r, until, fn, arg);
		reader_close(r);
	}
	rings->waiting = r && r->sample;
	for (size_t i = 0; i < rings->reader_count; i++)
		reader_close(&rings->readers[i]);
	return packets;
}

/* Ends the drain at a record of `before` or younger: producers may be faster than we are. */
static int on_ring_record(void *ctx, void *data, size_t size)
{
	struct rings *rings = ctx;

	rings->waiting = assembly_peek_time(data, size) >= rings->before;
	rings->drained += assembly_take(&rings->assembly, data, size, rings->fn, rings->arg);
	return rings->waiting ? -1 : 0;
}

static uint64_t ring_waiting(const struct rings *rings)
{
	const unsigned long *read = (const void *)rings->positions;
	const unsigned long *written = (const void *)(rings->positions + sysconf(_SC_PAGESIZE));

	return __atomic_load_n(written, __ATOMIC_ACQUIRE) - __atomic_load_n(read, __ATOMIC_RELAXED);
}

static size_t drain_ring(struct rings *rings, uint64_t before, captured_fn *fn, void *arg)
{
	uint64_t waiting = ring_waiting(rings);

	if (waiting > rings->peak)
		rings->peak = waiting;
	rings->fn = fn;
	rings->arg = arg;
	rings->before = before;
	rings->drained = 0;
	rings->waiting = false;
	ring_buffer__consume(rings->ring);
	return rings->drained;
}

size_t rings_drain(struct rings *rings, uint64_t before, captured_fn *fn, void *arg)
{
	return rings->perf ? drain_perf(rings, before, fn, arg)
			   : drain_ring(rings, before, fn, arg);
}

size_t rings_default_size(enum rings_kind kind, int cpus)
{
	size_t total = RINGS_SIZE_TOTAL, size = RINGS_SIZE_MIN, wanted;

	if ((size_t)cpus < total / RINGS_SIZE_CPU)
		total = (size_t)cpus * RINGS_SIZE_CPU;
	wanted = kind == RINGS_PERF ? total / (size_t)cpus : total;
	while (2 * size <= wanted)
		size *= 2;
	return size;
}

/* libbpf wants a callback; we read the memory ourselves, in time order. */
static enum bpf_perf_event_ret ignore_event(void *ctx, int cpu, struct perf_event_header *event)
{
	(void)ctx, (void)cpu, (void)event;
	return LIBBPF_PERF_EVENT_CONT;
}

static int map_readers(struct rings *rings)
{
	size_t count = perf_buffer__buffer_cnt(rings->perf);

	rings->readers = calloc(count, sizeof(*rings->readers));
	if (!rings->readers)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct reader *r = &rings->readers[i];
		void *base;
		size_t size;
		int err = perf_buffer__buffer(rings->perf, (int)i, &base, &size);

		if (err)
			return err;
		r->page = base;
		r->data = (const uint8_t *)base + sysconf(_SC_PAGESIZE);
		r->mask = size - 1;
		r->tail = r->page->data_tail;
	}
	rings->reader_count = count;
	return 0;
}

int rings_new_perf(int map_fd, size_t size, struct rings **ret)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
		.sample_period = 1,
		.watermark = 1,
		.wakeup_watermark = (uint32_t)(size / 4),
	};
	struct rings *rings = calloc(1, sizeof(*rings));
	int err;

	if (!rings)
		return -ENOMEM;
	rings->perf = perf_buffer__new_raw(
		map_fd, size / (size_t)sysconf(_SC_PAGESIZE), &attr, ignore_event, rings, NULL);
	if (!rings->perf) {
		err = -errno;
		goto out;
	}
	err = map_readers(rings);
out:
	if (err) {
		rings_free(rings);
		return err;
	}
	*ret = rings;
	return 0;
}

/* libbpf 1.1 keeps to itself how much waits in a ring. */
static int map_positions(struct rings *rings, int map_fd)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	void *pages;

	if (bpf_obj_get_info_by_fd(map_fd, &info, &size))
		return -errno;
	pages = mmap(NULL, 2 * (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, map_fd, 0);
	if (pages == MAP_FAILED)
		return -errno;
	rings->positions = pages;
	rings->ring_size = info.max_entries;
	return 0;
}

int rings_new_bpf(int map_fd, struct rings **ret)
{
	struct rings *rings = calloc(1, sizeof(*rings));
	int err;

	if (!rings)
		return -ENOMEM;
	rings->ring = ring_buffer__new(map_fd, on_ring_record, rings, NULL);
	err = rings->ring ? map_positions(rings, map_fd) : -errno;
	if (err) {
		rings_free(rings);
		return err;
	}
	*ret = rings;
	return 0;
}

void rings_free(struct rings *rings)
{
	if (!rings)
		return;
	perf_buffer__free(rings->perf);
	ring_buffer__free(rings->ring);
	if (rings->positions)
		munmap(rings->positions, 2 * (size_t)sysconf(_SC_PAGESIZE));
	assembly_done(&rings->assembly);
	free(rings->readers);
	free(rings);
}

int rings_watch(struct rings *rings, int epoll_fd, uint64_t tag)
{
	for (size_t i = 0; i < rings->reader_count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
		int fd = perf_buffer__buffer_fd(rings->perf, i);

		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			return -errno;
	}
	return 0;
}

bool rings_waiting(const struct rings *rings)
{
	return rings->waiting;
}

uint64_t rings_broken(const struct rings *rings)
{
	return rings->assembly.broken;
}

void rings_read_level(struct rings *rings, bool restart, struct rings_level *ret)
{
	*ret = (struct rings_level){.peak = rings->peak};
	if (rings->ring) {
		ret->size = rings->ring_size;
		ret->waiting = ring_waiting(rings);
	}
	for (size_t i = 0; i < rings->reader_count; i++) {
		const struct reader *r = &rings->readers[i];
		uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);

		ret->size = r->mask + 1;
		if (head - r->tail > ret->waiting)
			ret->waiting = head - r->tail;
	}
	if (ret->waiting > ret->peak)
		ret->peak = ret->waiting;
	if (restart)
		rings->peak = 0;
}
