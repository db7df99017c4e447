/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BPF programs by themselves: a packet in by BPF_PROG_TEST_RUN, a record or none out, through
 * each ring. The kernel runs a socket filter of this kind on the bytes behind the Ethernet header.
 */
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

static void quiet(void)
{
	libbpf_set_print(NULL);
}

static int open_ring(struct fixture *f, enum rings_kind kind, int cpus)
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

static int fixture_open(struct fixture *f, const struct kind *kind)
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

static void fixture_close(struct fixture *f)
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

static void on_packet(void *arg, const struct captured *c)
{
	struct fixture *f = arg;

	f->packets++;
	f->last = *c;
	assert_true(c->source.have <= sizeof(f->bytes));
	memcpy(f->bytes, c->bytes, c->source.have);
}

/* How many packets came out for one that went in. The program must return 0 always. */
static size_t run(struct fixture *f, const struct frame *frame)
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

static struct kernel_counts counts_of(struct fixture *f)
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

static void put(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void put16(struct frame *f, uint16_t value)
{
	uint8_t b[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(f, b, 2);
}

static struct frame ethernet(uint16_t ethertype)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	struct frame f = {.len = 0};

	put(&f, addresses, 12);
	put16(&f, ethertype);
	return f;
}

static void put_ipv4(struct frame *f, uint8_t protocol, size_t payload, uint16_t fragment,
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

static void put_ipv6(struct frame *f, uint8_t next, size_t payload)
{
	uint8_t header[40] = {0x60, [4] = (uint8_t)(payload >> 8), [5] = (uint8_t)payload,
		[6] = next, [7] = 64, [8] = 0x20, 0x01, 0x0d, 0xb8, [23] = 1, [24] = 0x20, 0x01,
		0x0d, 0xb8, [39] = 2};

	put(f, header, sizeof(header));
}

static void put_udp(struct frame *f, uint16_t src, uint16_t dst, size_t payload)
{
	static const uint8_t zeros[1024];

	put16(f, src);
	put16(f, dst);
	put16(f, (uint16_t)(8 + payload));
	put16(f, 0);
	put(f, zeros, payload);
}

static void put_tcp(struct frame *f, uint16_t src, uint16_t dst, uint8_t flags, size_t payload)
{
	uint8_t rest[16] = {[8] = 0x50, [9] = flags};
	static const uint8_t zeros[64];

	put16(f, src);
	put16(f, dst);
	put(f, rest, sizeof(rest));
	put(f, zeros, payload);
}

static struct frame udp4(uint16_t src, uint16_t dst, size_t payload)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 17, 8 + payload, 0, 1, 0);
	put_udp(&f, src, dst, payload);
	return f;
}

static struct frame tcp4(uint8_t flags, size_t payload)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 6, 20 + payload, 0, 1, 0);
	put_tcp(&f, 40000, WATCHED, flags, payload);
	return f;
}

static void test_udp_ipv4(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame query = udp4(40000, WATCHED, 30), reply = udp4(WATCHED, 40000, 300);
		struct frame foreign = udp4(40000, OTHER, 30);
		struct kernel_counts before = counts_of(f), after;

		assert_int_equal(run(f, &query), 1);
		assert_int_equal(f->last.source.have, 20 + 8 + 30);
		assert_int_equal(f->last.source.wire, 20 + 8 + 30);
		assert_int_equal(f->last.source.ethertype, 0x0800);
		assert_int_equal(f->last.tap, 7);
		assert_true(f->last.time > 0);
		assert_memory_equal(f->bytes, query.bytes + ETHERNET, f->last.source.have);
		assert_int_equal(run(f, &reply), 1);
		assert_int_equal(run(f, &foreign), 0);
		after = counts_of(f);
		assert_int_equal(after.matched - before.matched, 2);
		assert_int_equal(after.ring_full, before.ring_full);
	}
	(void)state;
}

static void test_ipv4_options(void **state)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 17, 8 + 20, 0, 1, 8);
	put_udp(&f, WATCHED, 40000, 20);
	assert_int_equal(run(&fixtures[0], &f), 1);
	(void)state;
}

static void test_ipv6_chain(void **state)
{
	static const uint8_t hop_by_hop[8] = {60}, destination[16] = {43, 1}, routing[8] = {51};
	static const uint8_t authentication[24] = {17, 4};
	struct frame plain = ethernet(0x86dd), chain = ethernet(0x86dd), foreign = ethernet(0x86dd);

	put_ipv6(&plain, 17, 8 + 20);
	put_udp(&plain, 40000, WATCHED, 20);
	put_ipv6(&chain, 0, 8 + 16 + 8 + 24 + 8 + 20);
	put(&chain, hop_by_hop, 8);
	put(&chain, destination, 16);
	put(&chain, routing, 8);
	put(&chain, authentication, 24);
	foreign = chain;
	put_udp(&chain, 40000, WATCHED, 20);
	put_udp(&foreign, 40000, OTHER, 20);
	for (int k = 0; k < RINGS; k++) {
		assert_int_equal(run(&fixtures[k], &plain), 1);
		assert_int_equal(run(&fixtures[k], &chain), 1);
		assert_int_equal(fixtures[k].last.source.wire, chain.len - ETHERNET);
		assert_int_equal(run(&fixtures[k], &foreign), 0);
	}
	(void)state;
}

/* What stands behind an outer tag that the kernel has put into the metadata. */
static void test_inline_tag(void **state)
{
	struct frame f = ethernet(0x8100), arp = ethernet(0x8100);

	put16(&f, 42);
	put16(&f, 0x0800);
	put_ipv4(&f, 17, 8 + 20, 0, 1, 0);
	put_udp(&f, 40000, WATCHED, 20);
	put16(&arp, 42);
	put16(&arp, 0x0806);
	arp.len += 28;
	assert_int_equal(run(&fixtures[0], &f), 1);
	assert_int_equal(run(&fixtures[0], &arp), 0);
	(void)state;
}

static void test_tcp(void **state)
{
	struct fixture *f = &fixtures[0];
	struct frame data = tcp4(0x18, 40), ack = tcp4(0x10, 0), syn = tcp4(0x02, 0);
	struct frame fin = tcp4(0x11, 0), rst = tcp4(0x04, 0);
	struct kernel_counts before = counts_of(f);

	assert_int_equal(run(f, &data), 1);
	assert_int_equal(run(f, &syn), 1);
	assert_int_equal(run(f, &fin), 1);
	assert_int_equal(run(f, &rst), 1);
	assert_int_equal(run(f, &ack), 0);
	assert_int_equal(counts_of(f).empty_segments - before.empty_segments, 1);
	(void)state;
}

static struct frame fragment4(uint16_t id, uint16_t fragment, uint16_t dst, size_t payload)
{
	struct frame f = ethernet(0x0800);

	put_ipv4(&f, 17, payload, fragment, id, 0);
	put_udp(&f, 40000, dst, payload - 8);
	return f;
}

static void test_fragments(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame first = fragment4(1000, 0x2000, WATCHED, 64);
		struct frame last = fragment4(1000, 8, OTHER, 16);
		struct frame foreign = fragment4(1001, 0x2000, OTHER, 64);
		struct frame tiny = fragment4(1000, 10, OTHER, 8);

		tiny.len -= 7; /* the last fragment of all may hold one byte */
		tiny.bytes[ETHERNET + 3] = 21;
		assert_int_equal(run(f, &first), 1);
		assert_int_equal(run(f, &last), 1);
		assert_int_equal(run(f, &tiny), 1);
		assert_int_equal(run(f, &foreign), 0);
	}
	(void)state;
}

/* Later fragments of unknown datagrams pass at a bounded rate, and the rest is counted. */
static void test_fragment_rate(void **state)
{
	struct fixture *f = &fixtures[0];
	struct kernel_counts before = counts_of(f), after;
	size_t passed = 0, sent = 3000;

	for (size_t i = 0; i < sent; i++) {
		struct frame late = fragment4((uint16_t)(2000 + i), 8, OTHER, 16);

		passed += run(f, &late);
	}
	after = counts_of(f);
	assert_true(passed > 0 && passed < sent);
	assert_int_equal(after.fragments_refused - before.fragments_refused, sent - passed);
	assert_int_equal(after.matched - before.matched, passed);
	(void)state;
}

static void test_clamp(void **state)
{
	struct fixture *f = &fixtures[CLAMPED];
	struct frame longer = udp4(WATCHED, 40000, 900), shorter = udp4(40000, WATCHED, 30);

	assert_int_equal(run(f, &longer), 1);
	assert_int_equal(f->last.source.have, 20 + 8 + RECORD_CLAMP_PAYLOAD);
	assert_int_equal(f->last.source.wire, 20 + 8 + 900);
	assert_int_equal(run(f, &shorter), 1);
	assert_int_equal(f->last.source.have, 20 + 8 + 30);
	(void)state;
}

/* Every prefix of a good packet: never more than it holds, never a packet without ports. */
static void test_truncations(void **state)
{
	struct frame whole = udp4(40000, WATCHED, 30);

	for (size_t len = ETHERNET + 1; len < whole.len; len++) {
		struct frame cut = whole;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = cut.bytes,
			.data_size_in = (uint32_t)len);

		cut.len = len;
		if (bpf_prog_test_run_opts(fixtures[0].program, &opts))
			continue; /* too short for the kernel's test run itself */
		fixtures[0].packets = 0;
		rings_drain(fixtures[0].rings, UINT64_MAX, on_packet, &fixtures[0]);
		assert_int_equal(fixtures[0].packets, len >= ETHERNET + 24);
	}
	(void)state;
}

/* Several times around each ring, over its borders, in records of many sizes. */
static void test_around_the_ring(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];

		for (size_t i = 0; i < 4 * RING_SIZE / 400; i++) {
			struct frame query = udp4(40000, WATCHED, 12 + i % 800);

			memset(query.bytes + query.len - 12, (int)i, 12);
			assert_int_equal(run(f, &query), 1);
			assert_int_equal(f->last.source.have, query.len - ETHERNET);
			assert_memory_equal(f->bytes, query.bytes + ETHERNET, query.len - ETHERNET);
		}
		assert_int_equal(rings_broken(f->rings), 0);
	}
	(void)state;
}

/* A ring without room: each packet is in the ring or counted, to the packet. */
static void test_ring_full(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame query = udp4(40000, WATCHED, 900);
		struct kernel_counts before = counts_of(f), after;
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = query.bytes,
			.data_size_in = (uint32_t)query.len, .repeat = 2000);
		size_t got;

		assert_int_equal(bpf_prog_test_run_opts(f->program, &opts), 0);
		got = rings_drain(f->rings, UINT64_MAX, on_packet, f);
		after = counts_of(f);
		assert_true(after.ring_full > before.ring_full);
		assert_int_equal(after.matched - before.matched, 2000);
		assert_int_equal(got + (after.ring_full - before.ring_full), 2000);
		assert_int_equal(run(f, &query), 1);
	}
	(void)state;
}

static void set_busy(struct fixture *f, uint64_t busy)
{
	int map = bpf_map__fd(f->skel->maps.counts);

	for (uint32_t cpu = 0; cpu < bpf_map__max_entries(f->skel->maps.counts); cpu++) {
		struct kernel_counts c;

		assert_int_equal(bpf_map_lookup_elem(map, &cpu, &c), 0);
		if (!busy)
			assert_int_equal(c.busy, 1); /* whoever came in between leaves it */
		c.busy = busy;
		assert_int_equal(bpf_map_update_elem(map, &cpu, &c, BPF_ANY), 0);
	}
}

/* A packet that comes while another one's record is being written is counted, not mixed in. */
static void test_busy(void **state)
{
	for (int k = 0; k < RINGS; k++) {
		struct fixture *f = &fixtures[k];
		struct frame query = udp4(40000, WATCHED, 30);
		struct kernel_counts before = counts_of(f), after;

		set_busy(f, 1);
		assert_int_equal(run(f, &query), 0);
		after = counts_of(f);
		assert_int_equal(after.matched - before.matched, 1);
		assert_int_equal(after.ring_full - before.ring_full, 1);
		set_busy(f, 0);
		assert_int_equal(run(f, &query), 1);
		assert_int_equal(run(f, &query), 1);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_udp_ipv4),
		cmocka_unit_test(test_ipv4_options),
		cmocka_unit_test(test_ipv6_chain),
		cmocka_unit_test(test_inline_tag),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragment_rate),
		cmocka_unit_test(test_clamp),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_around_the_ring),
		cmocka_unit_test(test_ring_full),
		cmocka_unit_test(test_busy),
	};
	int failed;

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
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	for (int k = 0; k < KINDS; k++)
		fixture_close(&fixtures[k]);
	return failed;
}
