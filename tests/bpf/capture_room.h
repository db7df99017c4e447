/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of the BPF programs share: each program loaded by itself with a ring of its own, a
 * packet in by BPF_PROG_TEST_RUN, a record or none out. The kernel runs a socket filter of this
 * kind on the bytes behind the Ethernet header.
 */
#ifndef BPF_CAPTURE_ROOM_H
#define BPF_CAPTURE_ROOM_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "capture/rings.h"
#include "record.h"

#include "capture.skel.h"

enum { ETHERNET = 14, WATCHED = 53, OTHER = 54, EXIT_SKIP = 77, RING_SIZE = 512 * 1024 };

/* A frame in the making. */
struct frame {
	uint8_t bytes[2048];
	size_t len;
};

struct kind {
	const char *name;
	enum rings_kind ring;
	bool clamp;
};

struct fixture {
	struct capture *skel;
	struct rings *rings;
	struct kernel_counts *counts; /* mapped for the array ring; else NULL */
	int program;
	size_t packets; /* since the last run */
	struct captured last;
	uint8_t bytes[2048]; /* of the last */
};

static inline void quiet(void)
{
	libbpf_set_print(NULL);
}

static inline int open_ring(struct fixture *f, enum rings_kind kind, int cpus)
{
	switch (kind) {
	case RINGS_ARRAY:
		f->counts = mmap(NULL, (size_t)cpus * sizeof(*f->counts), PROT_READ | PROT_WRITE,
			MAP_SHARED, bpf_map__fd(f->skel->maps.counts), 0);
		if (f->counts == MAP_FAILED)
			return -errno;
		f->program = bpf_program__fd(f->skel->progs.capture_array);
		return rings_new_array(
			bpf_map__fd(f->skel->maps.lanes), RING_SIZE, f->counts, cpus, &f->rings);
	case RINGS_BPF:
		f->program = bpf_program__fd(f->skel->progs.capture_ring);
		return rings_new_bpf(bpf_map__fd(f->skel->maps.ring), &f->rings);
	default:
		f->program = bpf_program__fd(f->skel->progs.capture_perf);
		return rings_new_perf(bpf_map__fd(f->skel->maps.events), RING_SIZE, &f->rings);
	}
}

static inline int fixture_open(struct fixture *f, const struct kind *kind)
{
	int cpus = libbpf_num_possible_cpus();

	quiet();
	f->skel = capture__open();
	if (!f->skel)
		return -errno;
	f->skel->data_settings->settings.watched[0] = 1ULL << WATCHED;
	f->skel->rodata->clamp = kind->clamp;
	f->skel->rodata->entered = true;
	f->skel->rodata->lane_chunks = RING_SIZE / LANE_CHUNK;
	bpf_map__set_max_entries(f->skel->maps.counts, (uint32_t)cpus);
	bpf_map__set_max_entries(f->skel->maps.scratches, (uint32_t)cpus);
	bpf_map__set_max_entries(f->skel->maps.events, (uint32_t)cpus);
	bpf_map__set_max_entries(f->skel->maps.ring, RING_SIZE);
	bpf_map__set_max_entries(f->skel->maps.lanes, RING_SIZE / LANE_CHUNK * (uint32_t)cpus);
	if (capture__load(f->skel))
		return -errno;
	return open_ring(f, kind->ring, cpus);
}

static inline void fixture_close(struct fixture *f)
{
	rings_free(f->rings);
	if (f->counts)
		munmap(f->counts, bpf_map__max_entries(f->skel->maps.counts) * sizeof(*f->counts));
	capture__destroy(f->skel);
	*f = (struct fixture){0};
}

static const struct kind kinds[] = {{"array", RINGS_ARRAY, false}, {"bpf", RINGS_BPF, false},
	{"perf", RINGS_PERF, false}, {"clamped", RINGS_ARRAY, true}};

/* The first RINGS differ in their ring alone. */
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), RINGS = KINDS - 1, CLAMPED = RINGS };

static struct fixture fixtures[KINDS];

static inline void on_packet(void *arg, const struct captured *c)
{
	struct fixture *f = arg;

	f->packets++;
	f->last = *c;
	assert_true(c->source.have <= sizeof(f->bytes));
	memcpy(f->bytes, c->bytes, c->source.have);
}

/* How many packets came out for one that went in. The program must return 0 always. */
static inline size_t run(struct fixture *f, const struct frame *frame)
{
	struct __sk_buff skb = {.cb = {7}};

	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->bytes,
		.data_size_in = (uint32_t)frame->len, .ctx_in = &skb, .ctx_size_in = sizeof(skb));

	assert_int_equal(bpf_prog_test_run_opts(f->program, &opts), 0);
	assert_int_equal(opts.retval, 0);
	f->packets = 0;
	rings_drain(f->rings, UINT64_MAX, on_packet, f);
	return f->packets;
}

static inline struct kernel_counts counts_of(struct fixture *f)
{
	struct kernel_counts sum = {0};

	for (uint32_t cpu = 0; cpu < bpf_map__max_entries(f->skel->maps.counts); cpu++) {
		struct kernel_counts c;

		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.counts), &cpu, &c), 0);
		sum.matched += c.matched;
		sum.ring_full += c.ring_full;
		sum.fragments_refused += c.fragments_refused;
		sum.empty_segments += c.empty_segments;
	}
	return sum;
}

static inline void put(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static inline void put16(struct frame *f, uint16_t value)
{
	uint8_t b[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(f, b, 2);
}

static inline struct frame ethernet(uint16_t ethertype)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	struct frame f = {.len = 0};

	put(&f, addresses, 12);
	put16(&f, ethertype);
	return f;
}

static inline void put_ipv4(struct frame *f, uint8_t protocol, size_t payload, uint16_t fragment,
	uint16_t id, size_t options)
{
	uint8_t header[60] = {(uint8_t)(0x45 + options / 4)};
	size_t total = 20 + options + payload;

	header[2] = (uint8_t)(total >> 8);
	header[3] = (uint8_t)total;
	header[4] = (uint8_t)(id >> 8);
	header[5] = (uint8_t)id;
	header[6] = (uint8_t)(fragment >> 8);
	header[7] = (uint8_t)fragment;
	header[8] = 64;
	header[9] = protocol;
	header[12] = 198, header[13] = 51, header[14] = 100, header[15] = 1;
	header[16] = 198, header[17] = 51, header[18] = 100, header[19] = 2;
	memset(header + 20, 1, options); /* no-operation */
	put(f, header, 20 + options);
}

static inline void put_ipv6(struct frame *f, uint8_t next, size_t payload)
{
	uint8_t header[40] = {0x60, [4] = (uint8_t)(payload >> 8), [5] = (uint8_t)payload,
		[6] = next, [7] = 64, [8] = 0x20, 0x01, 0x0d, 0xb8, [23] = 1, [24] = 0x20, 0x01,
		0x0d, 0xb8, [39] = 2};

	put(f, header, sizeof(header));
}

static inline void put_udp(struct frame *f, uint16_t src, uint16_t dst, size_t payload)
{
	static const uint8_t zeros[1024];

	put16(f, src);
	put16(f, dst);
	put16(f, (uint16_t)(8 + payload));
	put16(f, 0);
	put(f, zeros, payload);
}

static inline void put_tcp(
	struct frame *f, uint16_t src, uint16_t dst, uint8_t flags, size_t payload)
{
	uint8_t rest[16] = {[8] = 0x50, [9] = flags};
	static const uint8_t zeros[64];

	put16(f, src);
	put16(f, dst);
	put(f, rest, sizeof(rest));
	put(f, zeros, payload);
}

static inline struct frame udp4(uint16_t src, uint16_t dst, size_t payload)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 17, 8 + payload, 0, 1, 0);
	put_udp(&f, src, dst, payload);
	return f;
}

static inline struct frame tcp4(uint8_t flags, size_t payload)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 6, 20 + payload, 0, 1, 0);
	put_tcp(&f, 40000, WATCHED, flags, payload);
	return f;
}

static inline void close_fixtures(void)
{
	for (int k = 0; k < KINDS; k++)
		fixture_close(&fixtures[k]);
}

/* 0, or the status with which the program ends. */
static inline int open_fixtures(void)
{
	for (int k = 0; k < KINDS; k++) {
		int err = fixture_open(&fixtures[k], &kinds[k]);

		if (err == -EPERM || err == -EACCES) {
			fprintf(stderr, "SKIP: BPF may not be used here: %s\n", strerror(-err));
			return EXIT_SKIP;
		}
		if (err) {
			fprintf(stderr, "%s: cannot open: %s\n", kinds[k].name, strerror(-err));
			return 1;
		}
	}
	return 0;
}

#endif
