/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/filter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/prefixes.h"
#include "wire/edns.h"
#include "wire/name.h"

#include "sample.h"

_Static_assert((int)SAMPLE_KEY_WORDS == (int)FILTER_SAMPLE_KEY_WORDS, "one key for both sides");

/* A suffix in wire format. */
struct suffix {
	uint8_t name[DNS_NAME_MAX];
	uint8_t len; /* 1 to 255 */
};

/* All that a reload replaces. */
struct rules {
	struct prefixes *clients, *servers; /* NULL: all */
	uint32_t sample;                    /* 1 in so many */
	uint32_t types;                     /* bit 1 << type; 0: all */
	struct options_rcodes rcodes;
	bool anonymises;
	uint8_t kept_ipv4, kept_ipv6; /* bits of a client's address */
	size_t suffix_count;
	struct suffix suffixes[OPTIONS_NAMES_MAX];
};

struct filter {
	uint64_t key[SAMPLE_KEY_WORDS];
	struct rules *rules;
};

static int fail(char *error, int err, const char *what)
{
	snprintf(error, FILTER_ERROR_MAX, "%s: %s", what, strerror(-err));
	return err;
}

static void rules_free(struct rules *r)
{
	if (!r)
		return;
	prefixes_free(r->clients);
	prefixes_free(r->servers);
	free(r);
}

static int read_prefixes(
	const struct options_prefix *from, size_t count, struct prefixes **ret, char *error)
{
	int err = 0;

	if (!count)
		return 0;
	*ret = prefixes_new();
	if (!*ret)
		err = -ENOMEM;
	for (size_t i = 0; i < count && !err; i++)
		err = prefixes_add(*ret, from[i].family, from[i].address, from[i].len);
	return err ? fail(error, err, "cannot keep the networks") : 0;
}

static int read_names(const struct options *o, struct rules *r, char *error)
{
	for (size_t i = 0; i < o->name_count; i++) {
		uint32_t len = name_from_text(o->names[i], r->suffixes[i].name);

		if (!len) {
			snprintf(error, FILTER_ERROR_MAX,
				"--name %.300s: give a domain name, as example.com "
				"(not ASCII: as xn--...)",
				o->names[i]);
			return -EINVAL;
		}
		r->suffixes[i].len = (uint8_t)len;
	}
	r->suffix_count = o->name_count;
	return 0;
}

static int read_numbers(const struct options *o, struct rules *r, char *error)
{
	if (o->sample > UINT32_MAX) {
		snprintf(error, FILTER_ERROR_MAX, "--sample %" PRIu64 ": give at most %" PRIu32,
			o->sample, UINT32_MAX);
		return -EINVAL;
	}
	r->sample = (uint32_t)o->sample;
	r->types = o->types;
	r->rcodes = o->rcodes;
	r->anonymises = o->anonymise;
	r->kept_ipv4 = o->anonymise_v4;
	r->kept_ipv6 = o->anonymise_v6;
	return 0;
}

static int rules_new(const struct options *o, struct rules **ret, char *error)
{
	struct rules *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return fail(error, -ENOMEM, "cannot keep the filters");
	err = read_numbers(o, r, error);
	if (!err)
		err = read_names(o, r, error);
	if (!err)
		err = read_prefixes(o->clients, o->client_count, &r->clients, error);
	if (!err)
		err = read_prefixes(o->servers, o->server_count, &r->servers, error);
	if (err) {
		rules_free(r);
		return err;
	}
	*ret = r;
	return 0;
}

int filter_new(const struct options *o, struct filter **ret, char error[static FILTER_ERROR_MAX])
{
	struct filter *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return fail(error, -ENOMEM, "cannot keep the filters");
	if (getrandom(f->key, sizeof(f->key), 0) != (ssize_t)sizeof(f->key))
		err = fail(error, -errno, "cannot draw the key of the sample");
	else
		err = rules_new(o, &f->rules, error);
	if (err) {
		filter_free(f);
		return err;
	}
	*ret = f;
	return 0;
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	rules_free(f->rules);
	free(f);
}

int filter_replace(struct filter *f, const struct options *o, char error[static FILTER_ERROR_MAX])
{
	struct rules *next;
	int err = rules_new(o, &next, error);

	if (err)
		return err;
	rules_free(f->rules);
	f->rules = next;
	return 0;
}

bool filter_wants_bytes(const struct options *o)
{
	return o->rcodes.any_given;
}

void filter_sample_key(const struct filter *f, uint64_t ret[static FILTER_SAMPLE_KEY_WORDS])
{
	memcpy(ret, f->key, sizeof(f->key));
}

static bool networks_pass(const struct rules *r, const struct flow *flow, bool response)
{
	const uint8_t *client = response ? flow->dst : flow->src;
	const uint8_t *server = response ? flow->src : flow->dst;

	return (!r->clients || prefixes_contain(r->clients, flow->family, client)) &&
	       (!r->servers || prefixes_contain(r->servers, flow->family, server));
}

static struct sample_end sample_end_of(const uint8_t address[16], uint16_t port)
{
	struct sample_end end = {.port = port};

	memcpy(end.address, address, sizeof(end.address));
	return end;
}

static bool sample_passes(const struct filter *f, const struct flow *flow, uint16_t id)
{
	struct sample_end src = sample_end_of(flow->src, flow->src_port);
	struct sample_end dst = sample_end_of(flow->dst, flow->dst_port);
	__u64 key[SAMPLE_KEY_WORDS] = {f->key[0], f->key[1]};

	return f->rules->sample < 2 || sample_takes(key, f->rules->sample, &src, &dst, id);
}

static bool names_pass(const struct rules *r, const struct dns *dns)
{
	if (!r->suffix_count)
		return true;
	for (size_t i = 0; i < r->suffix_count && dns->qname; i++)
		if (name_is_below(
			    dns->qname, dns->qname_len, r->suffixes[i].name, r->suffixes[i].len))
			return true;
	return false;
}

bool filter_exchange(const struct filter *f, const struct flow *flow, const struct dns *dns,
	struct ledger *ledger)
{
	if (!networks_pass(f->rules, flow, dns->qr))
		ledger->filtered_network++;
	else if (!sample_passes(f, flow, dns->id))
		ledger->filtered_sample++;
	else if (!names_pass(f->rules, dns))
		ledger->filtered_name++;
	else
		return true;
	return false;
}

static bool rcode_passes(const struct rules *r, const struct dns *dns)
{
	uint16_t rcode;

	if (!r->rcodes.any_given || !dns->qr)
		return true;
	rcode = edns_rcode(dns);
	return r->rcodes.bits[rcode / 8] >> (rcode % 8) & 1;
}

bool filter_message(const struct filter *f, enum message_type type, const struct dns *dns,
	struct ledger *ledger)
{
	if (f->rules->types && !(f->rules->types >> type & 1))
		ledger->filtered_type++;
	else if (!rcode_passes(f->rules, dns))
		ledger->filtered_rcode++;
	else
		return true;
	return false;
}

bool filter_anonymises(const struct filter *f)
{
	return f->rules->anonymises;
}

/* Whether a message of this type may say that this host itself asks. */
static bool is_from_initiator(enum message_type type)
{
	static const bool table[] = {
		[MESSAGE_RESOLVER_QUERY] = true,
		[MESSAGE_RESOLVER_RESPONSE] = true,
		[MESSAGE_FORWARDER_QUERY] = true,
		[MESSAGE_FORWARDER_RESPONSE] = true,
		[MESSAGE_STUB_QUERY] = true,
		[MESSAGE_STUB_RESPONSE] = true,
		[MESSAGE_TOOL_QUERY] = true,
		[MESSAGE_TOOL_RESPONSE] = true,
	};
	size_t index = (size_t)type;

	return index < sizeof(table) / sizeof(table[0]) && table[index];
}

const uint8_t *filter_client_address(const struct filter *f, enum message_type type, bool here,
	uint8_t family, const uint8_t address[16], uint8_t copy[static 16])
{
	unsigned kept = family == FAMILY_IPV4 ? f->rules->kept_ipv4 : f->rules->kept_ipv6;

	if (!filter_anonymises(f) || (here && is_from_initiator(type)))
		return address;
	prefix_cut(address, kept, copy);
	return copy;
}
