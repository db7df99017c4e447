/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's part of the filters against user space's, the authority: thousands of random packets
 * of both families through the loaded program. What it drops is just what user space drops for
 * either direction; what it cannot tell it lets pass.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/early.h"
#include "agent/filter.h"
#include "capture/settings.h"
#include "record.h"

#include "capture.skel.h"

enum { PACKETS = 10000, EXIT_SKIP = 77, DNS_LEN = 17, MORE_FRAGMENTS = 0x2000 };

/* What is asked for in one round. */
struct round {
	const char *name;
	bool clients, servers;
	enum rings_kind ring;
	uint64_t sample;
};

static const struct round rounds[] = {
	{"clients", true, false, RINGS_ARRAY, 1},
	{"servers", false, true, RINGS_BPF, 1},
	{"clients and servers", true, true, RINGS_PERF, 1},
	{"sample", false, false, RINGS_ARRAY, 3},
	{"all of them", true, true, RINGS_BPF, 3},
};

struct fixture {
	struct capture *skel;
	struct filter *filter, *networks; /* networks: the same without a sample */
	struct options options;
	int program;
};

/* A packet in the making, and the same as user space sees it. */
struct built {
	uint8_t bytes[128];
	size_t len;
	struct flow flow;
	uint8_t dns[DNS_LEN];
	bool fragment;
	uint16_t gso_size;
};

static void add_prefix(struct options_prefix *list, size_t *count, const char *text, unsigned len)
{
	struct options_prefix *p = &list[(*count)++];

	*p = (struct options_prefix){
		.family = strchr(text, ':') ? FAMILY_IPV6 : FAMILY_IPV4, .len = len};
	inet_pton(p->family == FAMILY_IPV4 ? AF_INET : AF_INET6, text, p->address);
}

/* Lengths that end inside a byte, at one, and nested ones; the addresses below lie around them. */
static void fill_options(struct options *o, const struct round *r)
{
	*o = (struct options){.sample = r->sample, .ports = {53}, .port_count = 1};
	if (r->clients) {
		add_prefix(o->clients, &o->client_count, "10.0.0.0", 13);
		add_prefix(o->clients, &o->client_count, "10.0.1.1", 32);
		add_prefix(o->clients, &o->client_count, "2001:db8::", 33);
		add_prefix(o->clients, &o->client_count, "2001:db8:8000::1", 128);
	}
	if (r->servers) {
		add_prefix(o->servers, &o->server_count, "10.8.0.0", 14);
		add_prefix(o->servers, &o->server_count, "10.9.0.0", 16);
		add_prefix(o->servers, &o->server_count, "::", 1);
	}
}

static int fixture_open(struct fixture *f, const struct round *r)
{
	char error[FILTER_ERROR_MAX];
	struct early early;
	struct loader_options options = {.ports = f->options.ports, .port_count = 1};
	struct options unsampled;

	fill_options(&f->options, r);
	unsampled = f->options;
	unsampled.sample = 1;
	assert_int_equal(filter_new(&f->options, &f->filter, error), 0);
	assert_int_equal(filter_new(&unsampled, &f->networks, error), 0);
	options.filter = early_filter(&early, &f->options, f->filter);
	f->skel = capture__open();
	if (!f->skel)
		return -errno;
	bpf_map__set_max_entries(f->skel->maps.counts, (uint32_t)libbpf_num_possible_cpus());
	bpf_map__set_max_entries(f->skel->maps.scratches, (uint32_t)libbpf_num_possible_cpus());
	bpf_map__set_max_entries(f->skel->maps.ring, 1 << 20);
	bpf_map__set_max_entries(f->skel->maps.lanes, (uint32_t)libbpf_num_possible_cpus());
	struct bpf_program *program = settings_prepare(f->skel, &options, r->ring);

	if (capture__load(f->skel))
		return -errno;
	assert_int_equal(settings_fill(f->skel, &options), 0);
	f->program = bpf_program__fd(program);
	return 0;
}

static void fixture_close(struct fixture *f)
{
	capture__destroy(f->skel);
	filter_free(f->filter);
	filter_free(f->networks);
	*f = (struct fixture){0};
}

static struct kernel_counts counts_of(struct fixture *f)
{
	struct kernel_counts sum = {0}, c;

	for (uint32_t cpu = 0; cpu < bpf_map__max_entries(f->skel->maps.counts); cpu++) {
		assert_int_equal(
			bpf_map_lookup_elem(bpf_map__fd(f->skel->maps.counts), &cpu, &c), 0);
		sum.matched += c.matched;
		sum.filtered += c.filtered;
	}
	return sum;
}

/* The same packets each time. */
static uint32_t below(uint32_t bound)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((state >> 32) * bound >> 32);
}

static void put(struct built *b, const void *bytes, size_t len)
{
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

/* Few bits vary, those that the prefixes above are about. */
static void random_address(uint8_t family, uint8_t address[16])
{
	static const uint8_t ipv4[4] = {10, 0, 1, 1};
	static const uint8_t ipv6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};

	memset(address, 0, 16);
	if (family == FAMILY_IPV4) {
		memcpy(address, ipv4, 4);
		address[1] = (uint8_t)below(16);
		address[2] = (uint8_t)below(2);
		address[3] = (uint8_t)below(3);
	} else {
		memcpy(address, ipv6, 16);
		address[0] = below(4) ? 0x20 : 0xa0;
		address[4] = below(2) ? 0x80 : 0;
		address[5] = (uint8_t)below(2);
		address[15] = (uint8_t)below(3);
	}
}

static void put_ip(struct built *b, size_t payload)
{
	const struct flow *f = &b->flow;
	uint8_t ethernet[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, tag[4] = {0x81, 0, 0, 42};
	uint8_t ipv4[12] = {0x45, [3] = (uint8_t)(20 + payload), [4] = (uint8_t)below(256),
		[6] = b->fragment ? MORE_FRAGMENTS >> 8 : 0, [8] = 64, [9] = f->protocol};
	uint8_t ipv6[8] = {0x60, [5] = (uint8_t)(payload + 8U * b->fragment),
		[6] = b->fragment ? IPPROTO_FRAGMENT : f->protocol, [7] = 64};
	uint8_t fragment[8] = {f->protocol, 0, 0, 1, [7] = (uint8_t)below(256)};
	bool is_ipv4 = f->family == FAMILY_IPV4;

	ethernet[12] = is_ipv4 ? 0x08 : 0x86;
	ethernet[13] = is_ipv4 ? 0x00 : 0xdd;
	put(b, ethernet, 12);
	if (!below(8)) /* inline, so that the IP header stands behind it */
		put(b, tag, sizeof(tag));
	put(b, ethernet + 12, 2);
	put(b, is_ipv4 ? ipv4 : ipv6, is_ipv4 ? sizeof(ipv4) : sizeof(ipv6));
	put(b, f->src, family_len(f->family));
	put(b, f->dst, family_len(f->family));
	if (b->fragment && !is_ipv4)
		put(b, fragment, sizeof(fragment));
}

static struct built random_packet(void)
{
	struct built b = {.fragment = !below(8), .gso_size = below(8) ? 0 : DNS_LEN};
	struct flow *f = &b.flow;
	uint8_t rest[16] = {[8] = 0x50, [9] = 0x18};
	uint16_t client_port = below(8) ? (uint16_t)(1024 + below(60000)) : 53, ports[2];
	bool qr = below(2), tcp = !below(5);

	f->family = below(2) ? FAMILY_IPV4 : FAMILY_IPV6;
	f->protocol = tcp ? IPPROTO_TCP : IPPROTO_UDP;
	random_address(f->family, f->src);
	random_address(f->family, f->dst);
	f->src_port = qr ? 53 : client_port;
	f->dst_port = qr ? client_port : 53;
	b.dns[0] = (uint8_t)below(256);
	b.dns[1] = (uint8_t)below(256);
	b.dns[2] = qr ? 0x80 : 0;
	b.dns[5] = 1; /* one question, the root's */
	put_ip(&b, (tcp ? 20 : 8) + DNS_LEN);
	ports[0] = htons(f->src_port);
	ports[1] = htons(f->dst_port);
	put(&b, ports, sizeof(ports));
	if (tcp) {
		put(&b, rest, sizeof(rest));
	} else {
		uint8_t length_checksum[4] = {0, 8 + DNS_LEN};

		put(&b, length_checksum, sizeof(length_checksum));
	}
	put(&b, b.dns, DNS_LEN);
	return b;
}

/* Whether the program let it pass, by its own counts. */
static bool kernel_passes(struct fixture *f, const struct built *b)
{
	struct __sk_buff skb = {.gso_size = b->gso_size, .gso_segs = b->gso_size ? 1 : 0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = b->bytes, .data_size_in = (uint32_t)b->len,
		.ctx_in = &skb, .ctx_size_in = sizeof(skb));
	struct kernel_counts before = counts_of(f), after;

	assert_int_equal(bpf_prog_test_run_opts(f->program, &opts), 0);
	after = counts_of(f);
	assert_int_equal(after.matched + after.filtered, before.matched + before.filtered + 1);
	return after.matched > before.matched;
}

static bool user_passes(const struct filter *filter, const struct built *b, bool qr)
{
	struct ledger ledger = {0};
	struct dns dns;

	assert_int_equal(dns_parse(b->dns, DNS_LEN, DNS_LEN, &dns), DNS_OK);
	dns.qr = qr;
	return filter_exchange(filter, &b->flow, &dns, &ledger);
}

static void check_round(const struct round *r)
{
	struct fixture f = {0};
	size_t passed = 0, sampled = 0;

	assert_int_equal(fixture_open(&f, r), 0);
	for (int i = 0; i < PACKETS; i++) {
		struct built b = random_packet();
		bool whole = b.flow.protocol == IPPROTO_UDP && !b.fragment && !b.gso_size;
		const struct filter *filter = whole ? f.filter : f.networks;
		bool wanted = user_passes(filter, &b, false) || user_passes(filter, &b, true);

		if (kernel_passes(&f, &b) != wanted)
			fail_msg("%s: packet %d: user space says %d", r->name, i, wanted);
		passed += wanted;
		sampled += whole && !user_passes(f.filter, &b, b.dns[2]) &&
			   user_passes(f.networks, &b, b.dns[2]);
	}
	/* Both answers were put to the test. */
	assert_in_range(passed, PACKETS / 20, PACKETS - PACKETS / 20);
	if (r->sample > 1)
		assert_true(sampled > PACKETS / 20);
	fixture_close(&f);
}

static void test_the_same_as_user_space(void **state)
{
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++)
		check_round(&rounds[i]);
	(void)state;
}

/* What a reload changes through the mapped words, while the program stays as it is. */
static void test_words_that_a_reload_changes(void **state)
{
	static const uint16_t other[] = {5353}, both[] = {53, 5353};
	const struct round r = {"reload", true, false, RINGS_ARRAY, 3};
	struct fixture f = {0};
	size_t dropped[3] = {0};

	assert_int_equal(fixture_open(&f, &r), 0);
	for (int i = 0; i < 3 * 500; i++) {
		struct built b = random_packet();

		if (i == 500)
			settings_disable_networks(f.skel);
		if (i == 1000)
			settings_set_sample(f.skel, 1);
		dropped[i / 500] += !kernel_passes(&f, &b);
	}
	assert_true(dropped[0] > dropped[1] && dropped[1] > 50);
	assert_int_equal(dropped[2], 0);
	settings_set_ports(f.skel, other, 1);
	struct built b = random_packet();
	struct kernel_counts before = counts_of(&f);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = b.bytes, .data_size_in = (uint32_t)b.len);

	assert_int_equal(bpf_prog_test_run_opts(f.program, &opts), 0);
	assert_int_equal(counts_of(&f).matched, before.matched);
	settings_set_ports(f.skel, both, 2);
	assert_true(kernel_passes(&f, &b));
	fixture_close(&f);
	(void)state;
}

/* Without a filter the variant is the one that has none of this. */
static void test_no_filter_no_code(void **state)
{
	const struct round r = {"none", false, false, RINGS_ARRAY, 1};
	struct fixture f = {0};

	assert_int_equal(fixture_open(&f, &r), 0);
	assert_int_equal(f.program, bpf_program__fd(f.skel->progs.capture_array));
	for (int i = 0; i < 200; i++) {
		struct built b = random_packet();

		assert_true(kernel_passes(&f, &b));
	}
	fixture_close(&f);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same_as_user_space),
		cmocka_unit_test(test_words_that_a_reload_changes),
		cmocka_unit_test(test_no_filter_no_code),
	};
	int err;

	libbpf_set_print(NULL);
	err = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);
	if (err == -EPERM || err == -EACCES) {
		fprintf(stderr, "SKIP: BPF may not be used here: %s\n", strerror(-err));
		return EXIT_SKIP;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
