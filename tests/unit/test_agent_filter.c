/* SPDX-License-Identifier: BSD-2-Clause */
/* The filters: which messages pass, under which name the others are counted, what is cut off. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/filter.h"
#include "base/flow.h"
#include "wire/edns.h"
#include "wire/name.h"

enum { NOERROR = 0, NXDOMAIN = 3, BADVERS = 16, BADCOOKIE = 23 };

static struct options options;
static struct filter *filter;
static struct ledger ledger;
static char error[FILTER_ERROR_MAX];

static int setup(void **state)
{
	(void)state;
	options = (struct options){.sample = 1};
	ledger = (struct ledger){0};
	return filter_new(&options, &filter, error);
}

static int teardown(void **state)
{
	(void)state;
	filter_free(filter);
	return 0;
}

static void apply(void)
{
	assert_int_equal(filter_replace(filter, &options, error), 0);
}

static struct options_prefix prefix(const char *text, unsigned len)
{
	struct options_prefix p = {
		.family = strchr(text, ':') ? FAMILY_IPV6 : FAMILY_IPV4, .len = len};

	inet_pton(p.family == FAMILY_IPV4 ? AF_INET : AF_INET6, text, p.address);
	return p;
}

static struct flow flow_of(const char *src, uint16_t src_port, const char *dst, uint16_t dst_port)
{
	struct options_prefix from = prefix(src, 0), to = prefix(dst, 0);
	struct flow flow = {.src_port = src_port,
		.dst_port = dst_port,
		.family = from.family,
		.protocol = IPPROTO_UDP};

	memcpy(flow.src, from.address, 16);
	memcpy(flow.dst, to.address, 16);
	return flow;
}

static uint8_t bytes[4096];
static struct dns dns;

/* A message with that question (NULL: none) and, for responses, an rcode; OPT only where needed. */
static const struct dns *message(const char *name, bool qr, unsigned rcode, bool opt)
{
	uint32_t len = 12;

	memset(bytes, 0, sizeof(bytes));
	bytes[2] = qr ? 0x80 : 0;
	bytes[3] = rcode & 15;
	if (name) {
		bytes[5] = 1;
		len += name_from_text(name, bytes + len);
		bytes[len + 1] = bytes[len + 3] = 1;
		len += 4;
	}
	if (opt) {
		bytes[11] = 1;
		bytes[len + 2] = 41;
		bytes[len + 5] = (uint8_t)(rcode >> 4);
		len += 11;
	}
	assert_int_equal(dns_parse(bytes, len, len, &dns), DNS_OK);
	return &dns;
}

static bool exchange_passes(struct flow flow, const struct dns *m)
{
	return filter_exchange(filter, &flow, m, &ledger);
}

static bool query_passes(const char *src, const char *dst)
{
	return exchange_passes(flow_of(src, 40000, dst, 53), message("example", false, 0, false));
}

static bool response_passes(const char *src, const char *dst)
{
	return exchange_passes(flow_of(src, 53, dst, 40000), message("example", true, 0, false));
}

static void test_everything_passes(void **state)
{
	assert_true(query_passes("192.0.2.1", "198.51.100.1"));
	assert_true(exchange_passes(flow_of("2001:db8::1", 1, "2001:db8::2", 53),
		message(NULL, true, BADCOOKIE, true)));
	assert_true(filter_message(filter, MESSAGE_TOOL_RESPONSE, &dns, &ledger));
	assert_false(filter_anonymises(filter));
	assert_false(filter_wants_bytes(&options));
	(void)state;
}

static void test_networks(void **state)
{
	options.clients[options.client_count++] = prefix("192.0.2.0", 24);
	options.clients[options.client_count++] = prefix("2001:db8:1::", 48);
	options.servers[options.server_count++] = prefix("198.51.100.1", 32);
	options.servers[options.server_count++] = prefix("::", 0);
	apply();
	assert_true(query_passes("192.0.2.200", "198.51.100.1"));
	assert_true(response_passes("198.51.100.1", "192.0.2.200"));
	assert_true(query_passes("2001:db8:1:f::1", "2001:db8:2::1"));
	assert_int_equal(ledger.filtered_network, 0);
	assert_false(query_passes("198.51.100.1", "192.0.2.200")); /* the roles the other way */
	assert_false(response_passes("192.0.2.200", "198.51.100.1"));
	assert_false(query_passes("192.0.3.1", "198.51.100.1"));
	assert_false(query_passes("192.0.2.1", "198.51.100.2"));
	assert_false(query_passes("2001:db8:2::1", "2001:db8:1::1"));
	assert_int_equal(ledger.filtered_network, 5);
	(void)state;
}

static void test_one_direction(void **state)
{
	options.servers[options.server_count++] = prefix("198.51.100.0", 24);
	apply();
	assert_true(query_passes("203.0.113.9", "198.51.100.77"));
	assert_true(response_passes("198.51.100.77", "203.0.113.9"));
	assert_false(query_passes("198.51.100.77", "203.0.113.9"));
	assert_false(query_passes("2001:db8::1", "2001:db8::2")); /* nothing of this family */
	(void)state;
}

/* Query, response and retries agree; the share is right; a larger N takes a part of the same. */
static void test_sample(void **state)
{
	enum { ROUNDS = 40000 };
	struct filter *other;
	unsigned taken = 0, nested = 0, differ = 0;

	options.sample = 8;
	apply();
	assert_int_equal(filter_new(&options, &other, error), 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct flow flow =
			flow_of("192.0.2.1", (uint16_t)(1024 + i % 200), "192.0.2.2", 53);
		struct flow back = flow_reversed(&flow);
		bool is;

		message("a.example", false, 0, false);
		dns.id = (uint16_t)(i / 200);
		is = exchange_passes(flow, &dns);
		dns.qr = true;
		assert_int_equal(exchange_passes(back, &dns), is);
		assert_int_equal(exchange_passes(flow, &dns), is);
		taken += is;
		differ += filter_exchange(other, &flow, &dns, &ledger) != is;
		options.sample = 16;
		apply();
		nested += !is && exchange_passes(flow, &dns);
		options.sample = 8;
		apply();
	}
	filter_free(other);
	/* 5000 of a binomial distribution: six standard deviations are 397. */
	assert_in_range(taken, 4600, 5400);
	assert_int_equal(nested, 0);
	assert_true(differ > ROUNDS / 8); /* another key, another sample */
	assert_true(ledger.filtered_sample > 0);
	(void)state;
}

/* One exchange after another on one socket, as resolvers ask: ids that follow each other. */
static void test_sample_is_even(void **state)
{
	struct flow flow = flow_of("2001:db8::1", 53, "2001:db8::1", 53); /* both ends the same */
	unsigned taken = 0;

	options.sample = 100;
	apply();
	message("a.example", false, 0, false);
	for (unsigned id = 0; id < 65536; id++) {
		dns.id = (uint16_t)id;
		taken += exchange_passes(flow, &dns);
	}
	assert_in_range(taken, 500, 810); /* 655, six standard deviations are 153 */
	(void)state;
}

static void test_names(void **state)
{
	struct flow flow = flow_of("192.0.2.1", 40000, "192.0.2.2", 53);

	options.names[options.name_count++] = "Example.com";
	options.names[options.name_count++] = "test.";
	apply();
	assert_true(exchange_passes(flow, message("example.COM", false, 0, false)));
	assert_true(exchange_passes(flow, message("a.b.example.com", true, 0, false)));
	assert_true(exchange_passes(flow, message("test", false, 0, false)));
	assert_false(exchange_passes(flow, message("badexample.com", false, 0, false)));
	assert_false(exchange_passes(flow, message("com", false, 0, false)));
	assert_false(exchange_passes(flow, message(".", false, 0, false)));
	assert_false(exchange_passes(flow, message(NULL, true, 1, false)));
	assert_int_equal(ledger.filtered_name, 4);
	(void)state;
}

static void test_types(void **state)
{
	message("a.example", false, 0, false);
	options.types = 1U << MESSAGE_CLIENT_QUERY | 1U << MESSAGE_UPDATE_RESPONSE;
	apply();
	for (int type = MESSAGE_AUTH_QUERY; type <= MESSAGE_UPDATE_RESPONSE; type++)
		assert_int_equal(filter_message(filter, (enum message_type)type, &dns, &ledger),
			type == MESSAGE_CLIENT_QUERY || type == MESSAGE_UPDATE_RESPONSE);
	assert_int_equal(ledger.filtered_type, 12);
	(void)state;
}

static void want_rcode(unsigned rcode)
{
	options.rcodes.any_given = true;
	options.rcodes.bits[rcode / 8] |= (uint8_t)(1U << rcode % 8);
	apply();
}

static bool rcode_passes(bool qr, unsigned rcode, bool opt)
{
	return filter_message(filter, qr ? MESSAGE_AUTH_RESPONSE : MESSAGE_AUTH_QUERY,
		message("a.example", qr, rcode, opt), &ledger);
}

static void test_rcodes(void **state)
{
	want_rcode(NXDOMAIN);
	want_rcode(BADVERS);
	assert_true(filter_wants_bytes(&options));
	assert_true(rcode_passes(true, NXDOMAIN, false));
	assert_true(rcode_passes(true, NXDOMAIN, true));
	assert_true(rcode_passes(true, BADVERS, true));
	assert_true(rcode_passes(false, NOERROR, true)); /* a query has none */
	assert_false(rcode_passes(true, NOERROR, false));
	assert_false(rcode_passes(true, NOERROR, true));
	assert_false(rcode_passes(true, NXDOMAIN + 16, true)); /* the header alone says NXDOMAIN */
	assert_false(rcode_passes(true, BADCOOKIE, true));
	assert_int_equal(ledger.filtered_rcode, 4);
	(void)state;
}

static void test_rcode_4095(void **state)
{
	want_rcode(EDNS_RCODE_MAX);
	assert_true(rcode_passes(true, EDNS_RCODE_MAX, true));
	assert_false(rcode_passes(true, EDNS_RCODE_MAX - 1, true));
	assert_false(rcode_passes(true, 15, false));
	(void)state;
}

/* A file may end inside a message, or lie about what follows: the header's bits then. */
static void test_rcode_of_cut_messages(void **state)
{
	uint32_t len;

	message("a.example", true, BADVERS, true);
	len = dns.len;
	assert_int_equal(edns_rcode(&dns), BADVERS);
	for (uint32_t have = 12 + 11 + 4; have < len; have++) {
		uint8_t *copy = malloc(have);
		struct dns cut;

		memcpy(copy, bytes, have);
		assert_int_equal(dns_parse(copy, have, len, &cut), DNS_OK);
		assert_int_equal(edns_rcode(&cut), NOERROR);
		free(copy);
	}
	/* 65535 records where there is one; TC lets such counts stand. */
	bytes[2] |= 0x02;
	bytes[6] = bytes[7] = bytes[10] = bytes[11] = 0xff;
	assert_int_equal(dns_parse(bytes, len, len, &dns), DNS_OK);
	assert_int_equal(edns_rcode(&dns), NOERROR);
	/* An OPT record of another name than the root's is none. */
	message("a.example", true, BADVERS, true);
	memmove(bytes + len - 9, bytes + len - 10, 10);
	bytes[len - 11] = 0xc0;
	bytes[len - 10] = 12;
	assert_int_equal(dns_parse(bytes, len + 1, len + 1, &dns), DNS_OK);
	assert_int_equal(edns_rcode(&dns), NOERROR);
	(void)state;
}

static void test_bad_options(void **state)
{
	options.names[options.name_count++] = "a..b";
	assert_int_equal(filter_replace(filter, &options, error), -EINVAL);
	assert_non_null(strstr(error, "--name a..b"));
	options.name_count = 0;
	options.sample = 1ULL << 32;
	assert_int_equal(filter_replace(filter, &options, error), -EINVAL);
	assert_non_null(strstr(error, "--sample"));
	/* What was in force still is. */
	assert_true(query_passes("192.0.2.1", "198.51.100.1"));
	(void)state;
}

static const char *address(enum message_type type, bool here, const char *text)
{
	static char out[ADDRESS_TEXT_MAX];
	struct options_prefix p = prefix(text, 0);
	uint8_t copy[16];

	return address_text(filter_client_address(filter, type, here, p.family, p.address, copy),
		p.family, out);
}

static void test_anonymise(void **state)
{
	options.anonymise = true;
	options.anonymise_v4 = 24;
	options.anonymise_v6 = 48;
	apply();
	assert_true(filter_anonymises(filter));
	assert_string_equal(address(MESSAGE_CLIENT_QUERY, false, "192.0.2.77"), "192.0.2.0");
	assert_string_equal(
		address(MESSAGE_AUTH_RESPONSE, false, "2001:db8:1:2::7"), "2001:db8:1::");
	assert_string_equal(address(MESSAGE_UPDATE_QUERY, true, "192.0.2.77"), "192.0.2.0");
	/* An IPv4 address inside an IPv6 one goes too. */
	assert_string_equal(address(MESSAGE_CLIENT_QUERY, false, "64:ff9b::c000:24d"), "64:ff9b::");
	for (enum message_type type = MESSAGE_RESOLVER_QUERY; type <= MESSAGE_TOOL_RESPONSE;
		type++) {
		bool client = type == MESSAGE_CLIENT_QUERY || type == MESSAGE_CLIENT_RESPONSE;

		assert_string_equal(
			address(type, true, "192.0.2.77"), client ? "192.0.2.0" : "192.0.2.77");
		/* Not this host asked, whatever --role says. */
		assert_string_equal(address(type, false, "192.0.2.77"), "192.0.2.0");
	}
	options.anonymise_v4 = 0;
	options.anonymise_v6 = 128;
	apply();
	assert_string_equal(address(MESSAGE_CLIENT_QUERY, false, "192.0.2.77"), "0.0.0.0");
	assert_string_equal(address(MESSAGE_CLIENT_QUERY, false, "2001:db8::7"), "2001:db8::7");
	options.anonymise_v6 = 0;
	apply();
	assert_true(filter_anonymises(filter));
	assert_string_equal(address(MESSAGE_CLIENT_QUERY, false, "192.0.2.77"), "0.0.0.0");
	assert_string_equal(address(MESSAGE_CLIENT_QUERY, false, "2001:db8::7"), "::");
	(void)state;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_everything_passes),
		TEST(test_networks),
		TEST(test_one_direction),
		TEST(test_sample),
		TEST(test_sample_is_even),
		TEST(test_names),
		TEST(test_types),
		TEST(test_rcodes),
		TEST(test_rcode_4095),
		TEST(test_rcode_of_cut_messages),
		TEST(test_bad_options),
		TEST(test_anonymise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
