/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From records to frames and lines: capture/assembly and the whole of agent/pipeline, with two
 * sinks (linked in place of sink/sink, Makefile) that look at what they get. The input: u16
 * options, then one command after another; each is u8 command, u16 time in units of 0.1 ms:
 *
 *   PACKET  u8 flags, u16 ethertype, u16 gso size, u16 bytes cut off, u16 length, the packet
 *   LONG    the same; the packet is made so many KiB longer, and comes in parts
 *   RECORD  u16 length, a record as it stands in the ring, its header included
 *   TICK    nothing but the time; BACK: the time goes back
 *
 * Checked: each frame is a whole dnstap message whose DNS bytes were in a packet, or in fragments
 * or segments byte for byte at one place; each line is one line of printable ASCII; the ledger.
 */
#include <netinet/in.h>

#include "agent/filter.h"
#include "agent/pipeline.h"
#include "agent/summary.h"
#include "capture/assembly.h"
#include "dnstap.pb-c.h"
#include "dnstap/text.h"
#include "exchange/copies.h"
#include "fuzz.h"
#include "heard.h"
#include "record.h"
#include "wire/packet.h"

enum { COMMANDS_MAX = 1000, BYTES_MAX = 4 << 20, LONGER_MAX = 640 << 10 };
enum command { PACKET, LONG, RECORD, TICK, BACK, COMMANDS };
enum option {
	WITH_QUERY = 0x01,
	QUERY_ZONE = 0x02,
	TRANSIT = 0x04,
	PROMISCUOUS = 0x08,
	REPLAY = 0x10,
	JSON = 0x20,
	EXTRA = 0x40,
	COPIES = 0x80,
	ROLE = 0x100, /* and the two bits above it */
};
enum flag { OUTGOING = 1, TAGGED = 2, OTHER_TAP = 4, LOSE_PART = 8 };

struct sink {
	struct sink_url url;
	uint64_t offered;
};

struct run {
	struct pipeline *pipeline;
	struct assembly assembly;
	struct sink frames, lines;
	uint64_t now;
	size_t given; /* bytes */
	size_t packets;
};

static struct run run;
static struct heard heard;

/* What the pipeline knows of sinks. */

static void check_line(const uint8_t *bytes, size_t len)
{
	FUZZ_CHECK(len && bytes[len - 1] == '\n');
	for (size_t i = 0; i < len - 1; i++)
		FUZZ_CHECK(bytes[i] >= 0x20 && bytes[i] < 0x7f);
}

/* heard's keys: of fragments the ports are not known, but the id is. */
enum { ID_AT = 39, GSO_AT = 43 };

static void make_key(uint8_t key[HEARD_KEY_MAX], enum packet_kind kind, const struct flow *flow,
	uint32_t id, uint16_t gso_size)
{
	struct flow known = *flow;

	if (kind == PACKET_FRAGMENT)
		known.src_port = known.dst_port = known.protocol = 0;
	memset(key, 0, HEARD_KEY_MAX);
	key[0] = (uint8_t)kind;
	memcpy(key + 1, &known, sizeof(known));
	memcpy(key + ID_AT, &id, sizeof(id));
	memcpy(key + GSO_AT, &gso_size, sizeof(gso_size));
}

/* The whole of a datagram's payload, or one of the pieces of a super-packet's. */
static bool was_datagram(const uint8_t *key, const uint8_t *bytes, uint32_t len)
{
	for (size_t i = 0; i < heard.count; i++) {
		const struct heard_piece *p = &heard.pieces[i];
		uint16_t each;

		if (memcmp(p->key, key, GSO_AT))
			continue;
		memcpy(&each, p->key + GSO_AT, sizeof(each));
		for (uint32_t at = 0; at < p->len; at += each) {
			uint32_t left = p->len - at, piece = each && each < left ? each : left;

			if ((piece == len || (!at && left == len)) &&
				!memcmp(p->bytes + at, bytes, len))
				return true;
			if (!each)
				break;
		}
	}
	return false;
}

/* With its length before it. */
static bool was_in_stream(const uint8_t *key, const uint8_t *bytes, uint32_t len)
{
	uint8_t *framed = malloc(2 + len);
	bool given;

	FUZZ_CHECK(framed);
	framed[0] = (uint8_t)(len >> 8);
	framed[1] = (uint8_t)len;
	memcpy(framed + 2, bytes, len);
	given = heard_somewhere(&heard, key, HEARD_KEY_MAX, framed, 2 + len);
	free(framed);
	return given;
}

static bool was_given(const struct flow *flow, const uint8_t *bytes, uint32_t len)
{
	uint8_t key[HEARD_KEY_MAX];

	if (flow->protocol == IPPROTO_TCP) {
		/* a segment that came in fragments has no place of its own here */
		make_key(key, PACKET_SEGMENT, flow, 0, 0);
		return pipeline_ledger(run.pipeline)->reassembled_segments ||
		       was_in_stream(key, bytes, len);
	}
	make_key(key, PACKET_DATAGRAM, flow, 0, 0);
	if (was_datagram(key, bytes, len))
		return true;
	make_key(key, PACKET_FRAGMENT, flow, 0, 0);
	return heard_somewhere(&heard, key, ID_AT, bytes, len);
}

static void copy_address(uint8_t to[16], const ProtobufCBinaryData *from, uint8_t family)
{
	FUZZ_CHECK(from->len == family_len(family));
	memcpy(to, from->data, from->len);
}

static struct flow flow_of(const Dnstap__Message *m)
{
	struct flow flow = {0};

	FUZZ_CHECK(m->has_socket_family && m->has_socket_protocol);
	flow.family = m->socket_family == DNSTAP__SOCKET_FAMILY__INET ? FAMILY_IPV4 : FAMILY_IPV6;
	flow.protocol =
		m->socket_protocol == DNSTAP__SOCKET_PROTOCOL__UDP ? IPPROTO_UDP : IPPROTO_TCP;
	copy_address(flow.src, &m->query_address, flow.family);
	copy_address(flow.dst, &m->response_address, flow.family);
	flow.src_port = (uint16_t)m->query_port; /* 0 where it is absent */
	flow.dst_port = (uint16_t)m->response_port;
	return flow;
}

static void check_frame(const uint8_t *bytes, size_t len)
{
	Dnstap__Dnstap *d = dnstap__dnstap__unpack(NULL, len, bytes);
	const Dnstap__Message *m = d ? d->message : NULL;
	struct flow forward, back;
	bool response;

	FUZZ_CHECK(m && len <= MESSAGE_FRAME_MAX);
	forward = flow_of(m);
	back = flow_reversed(&forward);
	response = !(m->type & 1);
	FUZZ_CHECK(response ? m->has_response_message : m->has_query_message);
	FUZZ_CHECK(response == m->has_response_message);
	if (m->has_query_message)
		FUZZ_CHECK(
			was_given(&forward, m->query_message.data, (uint32_t)m->query_message.len));
	if (response)
		FUZZ_CHECK(was_given(
			&back, m->response_message.data, (uint32_t)m->response_message.len));
	FUZZ_CHECK(!d->has_extra || text_is_utf8(d->extra.data, d->extra.len));
	dnstap__dnstap__free_unpacked(d, NULL);
}

void __wrap_sink_offer(struct sink *sink, const void *bytes, size_t len);
void __wrap_sink_offer(struct sink *sink, const void *bytes, size_t len)
{
	sink->offered++;
	if (sink == &run.lines)
		check_line(bytes, len);
	else
		check_frame(bytes, len);
}

void __wrap_sink_flush(struct sink *sink);
void __wrap_sink_flush(struct sink *sink)
{
	(void)sink;
}

const struct sink_url *__wrap_sink_url(const struct sink *sink);
const struct sink_url *__wrap_sink_url(const struct sink *sink)
{
	return &sink->url;
}

void __wrap_sink_read_counts(const struct sink *sink, struct sink_counts *ret);
void __wrap_sink_read_counts(const struct sink *sink, struct sink_counts *ret)
{
	*ret = (struct sink_counts){.offered = sink->offered, .confirmed = sink->offered};
}

/* Rooms as small as may be, so that they get full. */

struct copies *__real_copies_new(size_t memory);
struct copies *__wrap_copies_new(size_t memory);
struct copies *__wrap_copies_new(size_t memory)
{
	(void)memory;
	return __real_copies_new(COPIES_MEMORY_MIN);
}

struct fragments *__real_fragments_new(
	size_t max_datagrams, size_t memory, struct fragments_counts *counts);
struct fragments *__wrap_fragments_new(
	size_t max_datagrams, size_t memory, struct fragments_counts *counts);
struct fragments *__wrap_fragments_new(
	size_t max_datagrams, size_t memory, struct fragments_counts *counts)
{
	(void)max_datagrams;
	(void)memory;
	return __real_fragments_new(FRAGMENTS_MAX_DATAGRAMS_MIN, FRAGMENTS_MEMORY_MIN, counts);
}

/* What is given. */

static void on_packet(void *arg, const struct captured *c)
{
	uint8_t key[HEARD_KEY_MAX];
	struct packet p;
	uint32_t at = 0;

	(void)arg;
	run.packets++;
	if (packet_parse(c->bytes, &c->source, &p) == PACKET_OK) {
		if (p.kind == PACKET_SEGMENT)
			at = p.seq + !!(p.tcp_flags & TCP_SYN);
		else if (p.kind == PACKET_FRAGMENT)
			at = p.fragment_offset;
		make_key(key, p.kind, &p.flow, p.fragment_id,
			p.kind == PACKET_DATAGRAM ? p.gso_size : 0);
		heard_add(&heard, key, at, p.payload, p.payload_have);
	}
	pipeline_packet(run.pipeline, c);
}

static void give_record(const struct record *head, const uint8_t *bytes, size_t len)
{
	uint8_t *record = malloc(sizeof(*head) + len);

	FUZZ_CHECK(record);
	memcpy(record, head, sizeof(*head));
	memcpy(record + sizeof(*head), bytes, len);
	assembly_take(&run.assembly, record, sizeof(*head) + len, on_packet, NULL);
	run.given += len;
	free(record);
}

static void give_packet(const uint8_t *bytes, uint32_t len, struct record head, uint8_t flags)
{
	uint32_t part;

	for (uint32_t at = 0; at < len || !at; at += part) {
		part = len - at < RECORD_BYTES_MAX ? len - at : RECORD_BYTES_MAX;
		if (at / RECORD_BYTES_MAX == RECORD_PARTS_MAX)
			return;
		head.offset = at;
		head.have = (__u16)part;
		if (!(flags & LOSE_PART && at))
			give_record(&head, bytes + at, part);
		if (!len)
			return;
	}
}

static void take_packet(struct script *s, bool is_long)
{
	uint8_t flags = script_u8(s);
	struct record head = {.time = run.now,
		.ifindex = 2 + !!(flags & OTHER_TAP),
		.tap = flags >> 6,
		.ethertype = script_u16(s),
		.gso_size = script_u16(s),
		.vlan_tci = 42,
		.version = RECORD_VERSION};
	uint32_t missing = script_u16(s), more = is_long ? script_u16(s) % (LONGER_MAX >> 10) : 0;
	const uint8_t *bytes;
	uint8_t *whole;
	size_t len;

	head.flags = (flags & OUTGOING ? 4 : 0) | (flags & TAGGED ? RECORD_VLAN : 0);
	bytes = script_bytes(s, script_u16(s), &len);
	whole = calloc(1, len + (more << 10) + 1);
	FUZZ_CHECK(whole);
	memcpy(whole, bytes, len);
	len += more << 10;
	head.wire = (uint32_t)len + missing;
	give_packet(whole, (uint32_t)len, head, flags);
	free(whole);
}

static void take_record(struct script *s)
{
	struct record head = {0};
	size_t len;
	const uint8_t *bytes = script_bytes(s, script_u16(s), &len);
	uint8_t *copy;

	/* The time is the harness's: the rooms are told that it goes on, mostly. */
	copy = fuzz_copy(bytes, len);
	if (len >= sizeof(head)) {
		memcpy(&head, copy, sizeof(head));
		head.time = run.now;
		memcpy(copy, &head, sizeof(head));
	}
	assembly_take(&run.assembly, copy, len, on_packet, NULL);
	run.given += len;
	fuzz_free(copy);
}

static void take_command(struct script *s)
{
	enum command command = script_u8(s) % COMMANDS;
	uint64_t time = (uint64_t)script_u16(s) * 100000;

	run.now = command == BACK ? run.now - time : run.now + time;
	switch (command) {
	case PACKET:
	case LONG:
		take_packet(s, command == LONG);
		break;
	case RECORD:
		take_record(s);
		break;
	case TICK:
		pipeline_tick(run.pipeline, run.now);
		pipeline_next_tick(run.pipeline);
		break;
	default:
		break;
	}
}

static struct summary_sink row_of(const struct sink *sink, const char *text)
{
	const struct ledger *l = pipeline_ledger(run.pipeline);
	struct summary_sink row = {.text = text,
		.full = sink->url.full,
		.frames = l->frames,
		.oversize = l->frame_oversize};

	sink_read_counts(sink, &row.counts);
	return row;
}

static void check_ledger(void)
{
	struct ledger *l = pipeline_ledger(run.pipeline);
	const struct summary_sink rows[] = {
		row_of(&run.frames, "frames"), row_of(&run.lines, "lines")};
	struct summary summary = {
		.ledger = l,
		.fragments = intake_fragments(pipeline_intake(run.pipeline)),
		.streams = intake_streams(pipeline_intake(run.pipeline)),
		.sinks = rows,
		.sink_count = 2,
		.final = true,
	};

	l->ring_broken = run.assembly.broken;
	if (l->matched) /* a replay counts itself */
		FUZZ_CHECK(l->recorded == l->matched && l->recorded <= run.packets);
	else
		FUZZ_CHECK(l->recorded == run.packets || !l->recorded);
	l->matched = l->recorded + l->ring_broken;
	FUZZ_CHECK(summary_balanced(&summary));
	FUZZ_CHECK(l->queries == l->queries_answered + l->queries_unanswered + l->queries_retried +
					 l->queries_evicted);
	FUZZ_CHECK(l->responses == l->responses_matched + l->responses_unmatched);
	FUZZ_CHECK(l->queries + l->responses == l->frames + l->frame_oversize);
}

static void set_options(struct options *o, uint16_t bits)
{
	static const enum role roles[] = {ROLE_AUTO, ROLE_AUTH, ROLE_RESOLVER, ROLE_CLIENT,
		ROLE_FORWARDER, ROLE_STUB, ROLE_TOOL, ROLE_AUTO};
	char *argv[] = {strdup("dnstap-bpf"), strdup("-"), strdup("full"), NULL};
	char error[OPTIONS_ERROR_MAX];

	FUZZ_CHECK(!options_parse(3, argv, o, error));
	for (int i = 0; i < 3; i++)
		free(argv[i]);
	o->with_query = bits & WITH_QUERY;
	o->query_zone = bits & QUERY_ZONE;
	o->transit = bits & TRANSIT;
	o->promiscuous = bits & PROMISCUOUS;
	o->read = bits & REPLAY ? "file" : NULL;
	o->format = bits & JSON ? LINES_JSON : LINES_TEXT;
	o->role = (int)roles[bits / ROLE % (sizeof(roles) / sizeof(roles[0]))];
	o->max_queries = 1 + (bits >> 12);
	o->max_streams = 4;
	o->stream_memory = STREAMS_MEMORY_MIN;
}

/* The servers of the seeds, and this machine's. */
static struct prefixes *local_prefixes(void)
{
	static const uint8_t server_4[] = {203, 0, 113, 53}, loopback[] = {127, 0, 0, 0},
			     server_6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x53};
	struct prefixes *local = prefixes_new();

	FUZZ_CHECK(local && !prefixes_add(local, FAMILY_IPV4, server_4, 32) &&
		   !prefixes_add(local, FAMILY_IPV4, loopback, 8) &&
		   !prefixes_add(local, FAMILY_IPV6, server_6, 128));
	return local;
}

static void run_script(struct script *s, const struct options *options, uint16_t bits)
{
	static const char template[] = "{interface} vlan {vlan}";
	struct prefixes *local = local_prefixes(), *broadcast = prefixes_new();
	struct own own = OWN_INITIALISER;
	struct extra *extra = NULL;
	struct filter *filter = NULL;
	struct sink *sinks[] = {&run.frames, &run.lines};
	char error[EXTRA_ERROR_MAX], filter_error[FILTER_ERROR_MAX];
	struct pipeline_options o = {.options = options,
		.identity = "fuzz",
		.version = "1",
		.sinks = sinks,
		.sink_count = 2,
		.local = local,
		.broadcast = broadcast,
		.own = &own};

	if (bits & EXTRA)
		FUZZ_CHECK(!extra_new(template, &extra, error));
	o.extra = extra;
	FUZZ_CHECK(!filter_new(options, &filter, filter_error));
	o.filter = filter;
	run.pipeline = pipeline_new(&o);
	FUZZ_CHECK(run.pipeline && broadcast);
	pipeline_expect_copies(run.pipeline, bits & COPIES, 3);
	for (int i = 0; s->left && i < COMMANDS_MAX && run.given < BYTES_MAX; i++)
		take_command(s);
	pipeline_drain(run.pipeline);
	check_ledger();
	pipeline_free(run.pipeline);
	extra_free(extra);
	filter_free(filter);
	prefixes_free(local);
	prefixes_free(broadcast);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	uint16_t bits = script_u16(&s);
	static struct options options;

	run = (struct run){.now = 1000000000000};
	run.frames.url.kind = SINK_FILE;
	run.lines.url.kind = SINK_LINES;
	run.frames.url.full = run.lines.url.full = true;
	set_options(&options, bits);
	run_script(&s, &options, bits);
	assembly_done(&run.assembly);
	heard_free(&heard);
	return 0;
}
