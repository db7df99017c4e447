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
#include "capture/reader.h"

/* Samples read before their room is given back: often enough that a long run frees the ring. */
enum { RELEASE_EVERY = 64 };

struct rings {
	struct perf_buffer *perf;
	void *lanes; /* of the array ring; NULL or MAP_FAILED: none */
	size_t lanes_size;
	struct reader *readers; /* one a CPU; of the BPF ring none */
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
		reader_step(r);
		if (++samples % RELEASE_EVERY == 0)
			reader_close(r);
	} while (reader_peek(r) && r->time <= until);
	return packets;
}

static size_t drain_readers(struct rings *rings, uint64_t before, captured_fn *fn, void *arg)
{
	struct reader *r;
	uint64_t next;
	size_t packets = 0;

	for (size_t i = 0; i < rings->reader_count; i++) {
		struct reader *reader = &rings->readers[i];

		reader_open(reader, before == UINT64_MAX);
		if (reader->published - reader->tail > rings->peak)
			rings->peak = reader->published - reader->tail;
	}
	while ((r = earliest(rings, &next)) && r->sample && r->time < before) {
		uint64_t until = next < before ? next : before - 1;

		packets += drain_run(rings, r, until, fn, arg);
		reader_close(r);
	}
	rings->waiting = r && r->sample;
	for (size_t i = 0; i < rings->reader_count; i++) {
		rings->waiting |= reader_behind(&rings->readers[i]);
		reader_close(&rings->readers[i]);
	}
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
	return rings->ring ? drain_ring(rings, before, fn, arg)
			   : drain_readers(rings, before, fn, arg);
}

const char *rings_name(enum rings_kind kind)
{
	static const char *const names[] = {"auto", "array", "BPF", "perf"};

	return names[kind];
}

size_t rings_default_size(enum rings_kind kind, int cpus)
{
	size_t total = RINGS_SIZE_TOTAL, size = RINGS_SIZE_MIN, wanted;

	if ((size_t)cpus < total / RINGS_SIZE_CPU)
		total = (size_t)cpus * RINGS_SIZE_CPU;
	wanted = kind == RINGS_BPF ? total : total / (size_t)cpus;
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

static int map_perf(struct rings *rings)
{
	size_t count = perf_buffer__buffer_cnt(rings->perf);

	rings->readers = calloc(count, sizeof(*rings->readers));
	if (!rings->readers)
		return -ENOMEM;
	rings->reader_count = count;
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
		r->wrapped = malloc(READER_SAMPLE_MAX);
		if (!r->wrapped)
			return -ENOMEM;
	}
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
	err = map_perf(rings);
out:
	if (err) {
		rings_free(rings);
		return err;
	}
	*ret = rings;
	return 0;
}

/* Nothing of the lanes is ours to write; of the counts, the tails are. */
static int map_lanes(struct rings *rings, int map_fd, size_t size, struct kernel_counts *counts)
{
	size_t lane = size / LANE_CHUNK * (LANE_CHUNK + LANE_SLACK);

	rings->lanes_size = lane * rings->reader_count;
	rings->lanes = mmap(NULL, rings->lanes_size, PROT_READ, MAP_SHARED, map_fd, 0);
	if (rings->lanes == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < rings->reader_count; i++)
		rings->readers[i] = (struct reader){
			.data = (const uint8_t *)rings->lanes + i * lane,
			.mask = size / LANE_CHUNK - 1,
			.ends = &counts[i],
		};
	return 0;
}

int rings_new_array(
	int map_fd, size_t size, struct kernel_counts *counts, int cpus, struct rings **ret)
{
	struct rings *rings = calloc(1, sizeof(*rings));
	int err = -ENOMEM;

	if (!rings)
		return err;
	rings->lanes = MAP_FAILED;
	rings->reader_count = (size_t)cpus;
	rings->readers = calloc(rings->reader_count, sizeof(*rings->readers));
	if (rings->readers)
		err = map_lanes(rings, map_fd, size, counts);
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
	ring_buffer__free(rings->ring);
	if (rings->positions)
		munmap(rings->positions, 2 * (size_t)sysconf(_SC_PAGESIZE));
	if (rings->lanes && rings->lanes != MAP_FAILED)
		munmap(rings->lanes, rings->lanes_size);
	assembly_done(&rings->assembly);
	for (size_t i = 0; rings->perf && i < rings->reader_count; i++)
		free(rings->readers[i].wrapped);
	free(rings->readers);
	perf_buffer__free(rings->perf);
	free(rings);
}

int rings_watch(struct rings *rings, int epoll_fd, uint64_t tag)
{
	for (size_t i = 0; rings->perf && i < rings->reader_count; i++) {
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

bool rings_is_empty(const struct rings *rings, size_t place, uint64_t *ret_position)
{
	const struct reader *r = &rings->readers[place];

	*ret_position = reader_published(r);
	return *ret_position == r->tail;
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
		uint64_t bytes = reader_published(r) - r->tail;

		ret->size = reader_size(r);
		if (bytes > ret->waiting)
			ret->waiting = bytes;
	}
	if (ret->waiting > ret->peak)
		ret->peak = ret->waiting;
	if (restart)
		rings->peak = 0;
}
