/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire/streams. The input first says what each of the streams (two directions of a few connections)
 * consists of: u8 bounds, u8 chunks, and for each u8 stream and kind, u16 length; then one command
 * after another sends parts of them, in any order and with SYN, FIN and RST, or lets time go on, or
 * forges a segment.
 *
 * What comes out is held against a reassembly as simple as can be, which knows the streams whole:
 * as long as nothing was forged and no sync was searched for, each message must be a true one, with
 * all of its bytes delivered, in order and once; and if no hole was given up and nothing evicted,
 * all messages that were delivered whole must have come. In all other cases each message and its
 * length must have been given byte for byte at one place.
 */
#include "fuzz.h"
#include "heard.h"
#include "wire/streams.h"

#define MS UINT64_C(1000000)

enum {
	CONNECTIONS = 4,
	STREAMS = 2 * CONNECTIONS,
	STREAM_MAX = 160 << 10, /* bytes */
	CHUNKS_MAX = 64,
	COMMANDS_MAX = 2000,
	BYTES_MAX = 1 << 20, /* sent in one run, so that it stays short */
	/* so much may wait in disorder in the least memory there is */
	SENDS_FEW = 30,
	SENT_LITTLE = 60 << 10,
};
enum kind { MESSAGE, NOISE, QUERY, RUBBISH };
enum command { SEND_NEXT, SEND_AT, SYN, FIN, RST, ACK, WAIT, FORGE, SEND_CUT, REOPEN, COMMANDS };

struct stream {
	uint8_t *bytes, *delivered; /* delivered: a flag for each byte */
	uint32_t len;
	uint32_t isn, next; /* next: to send */
	uint32_t order;     /* offset behind the message that came last */
	uint32_t got;
	bool syn, finned;
};

struct run {
	struct streams *room;
	struct stream streams[STREAMS];
	uint64_t now, began;
	size_t sent; /* bytes */
	unsigned int sends;
	bool cut;       /* by the capture */
	bool forged;    /* segments that are of no stream */
	bool repeated;  /* a connection may have begun twice: messages may come again */
	bool ended;     /* an RST, which may be believed */
	bool unordered; /* data before both SYNs, or an answer before its SYN */
};

static struct heard heard;

static struct flow flow_of(unsigned int stream)
{
	unsigned int connection = stream / 2;
	struct flow flow = {.src = {192, 0, 2, 1},
		.dst = {192, 0, 2, 53},
		.src_port = (uint16_t)(40000 + connection),
		.dst_port = 53,
		.family = connection & 1 ? FAMILY_IPV6 : FAMILY_IPV4,
		.protocol = 6};

	return stream & 1 ? flow_reversed(&flow) : flow;
}

static int stream_of(const struct flow *flow)
{
	for (unsigned int i = 0; i < STREAMS; i++) {
		struct flow known = flow_of(i);

		if (!memcmp(&known, flow, sizeof(known)))
			return (int)i;
	}
	return -1;
}

/* How the streams are made. */

static void append(struct stream *stream, const void *bytes, uint32_t len)
{
	if (len > STREAM_MAX - stream->len)
		len = STREAM_MAX - stream->len;
	memcpy(stream->bytes + stream->len, bytes, len);
	stream->len += len;
}

static void append_length(struct stream *stream, uint32_t len)
{
	const uint8_t prefix[2] = {(uint8_t)(len >> 8), (uint8_t)len};

	append(stream, prefix, sizeof(prefix));
}

/* Other bytes for another length. */
static void append_noise(struct stream *stream, uint32_t len)
{
	static uint8_t noise[2 * 65536];
	static bool made;
	uint32_t state = 1;

	for (size_t i = 0; !made && i < sizeof(noise); i++) {
		state = state * 1664525 + 1013904223;
		noise[i] = (uint8_t)(state >> 24);
	}
	made = true;
	append(stream, noise + len, len);
}

/* A well-formed query or response, of one record as long as is wanted. */
static void append_dns(struct stream *stream, uint16_t len, bool response)
{
	const uint8_t head[] = {(uint8_t)(stream->len >> 8), (uint8_t)stream->len,
		response ? 0x80 : 0, 0, 0, 1, 0, 0, 0, 0, 0, 1};
	static const uint8_t question[] = {1, 'a', 0, 0, 1, 0, 1};
	const uint8_t record[] = {0, 0, 41, 16, 0, 0, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len};

	if (len > 65000)
		len = 65000;
	append_length(stream, sizeof(head) + sizeof(question) + sizeof(record) + len);
	append(stream, head, sizeof(head));
	append(stream, question, sizeof(question));
	append(stream, record, sizeof(record));
	append_noise(stream, len);
}

static void append_chunk(struct stream *stream, struct script *s, enum kind kind, bool response)
{
	uint16_t len = script_u16(s);
	const uint8_t *bytes;
	size_t have;

	switch (kind) {
	case MESSAGE:
	case RUBBISH:
		bytes = script_bytes(s, len & 0x3ff, &have);
		if (kind == MESSAGE)
			append_length(stream, (uint32_t)have);
		append(stream, bytes, (uint32_t)have);
		break;
	case NOISE:
		append_length(stream, len);
		append_noise(stream, len);
		break;
	case QUERY:
		append_dns(stream, len, response);
		break;
	}
}

static void make_streams(struct run *r, struct script *s)
{
	unsigned int chunks = script_u8(s) % (CHUNKS_MAX + 1);

	for (unsigned int i = 0; i < STREAMS; i++) {
		r->streams[i].bytes = malloc(STREAM_MAX);
		FUZZ_CHECK(r->streams[i].bytes);
		/* one that wraps after few bytes, one that does after many, and others */
		r->streams[i].isn = i < 2 ? 0xffffff00 : i < 4 ? 0xffff0000 : i * 0x10000000;
	}
	while (chunks--) {
		uint8_t which = script_u8(s);
		unsigned int i = which % STREAMS;

		append_chunk(&r->streams[i], s, which / STREAMS % 4, i & 1);
	}
	for (unsigned int i = 0; i < STREAMS; i++) {
		r->streams[i].delivered = calloc(1, r->streams[i].len + 1);
		FUZZ_CHECK(r->streams[i].delivered);
	}
}

/* The simple reassembly. */

static uint32_t length_at(const struct stream *stream, uint32_t at)
{
	return (uint32_t)stream->bytes[at] << 8 | stream->bytes[at + 1];
}

static bool whole_at(const struct stream *stream, uint32_t at)
{
	return at + 2 <= stream->len && length_at(stream, at) <= stream->len - at - 2;
}

static bool delivered(const struct stream *stream, uint32_t at, uint32_t len)
{
	return !memchr(stream->delivered + at, 0, len);
}

/* From one true boundary to the next, until the message is found. */
static bool find_true(struct stream *stream, uint32_t from, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t at = 0; whole_at(stream, at); at += 2 + length_at(stream, at)) {
		if (at < from || length_at(stream, at) != len ||
			memcmp(stream->bytes + at + 2, bytes, len) ||
			!delivered(stream, at, len + 2))
			continue;
		stream->order = at + 2 + len;
		return true;
	}
	return false;
}

static void check_given(const struct flow *flow, const uint8_t *bytes, uint32_t len)
{
	uint8_t key[HEARD_KEY_MAX] = {0};
	uint8_t *framed = malloc(len + 2);

	FUZZ_CHECK(framed);
	memcpy(key, flow, sizeof(*flow));
	framed[0] = (uint8_t)(len >> 8);
	framed[1] = (uint8_t)len;
	memcpy(framed + 2, bytes, len);
	FUZZ_CHECK(heard_somewhere(&heard, key, sizeof(key), framed, len + 2));
	free(framed);
}

static void on_message(
	void *arg, const struct flow *flow, const uint8_t *bytes, uint32_t len, uint64_t time)
{
	struct run *r = arg;
	int i = stream_of(flow);
	struct stream *stream = &r->streams[i < 0 ? 0 : i];

	FUZZ_CHECK(i >= 0 && len <= 65535);
	FUZZ_CHECK(time >= r->began && time <= r->now);
	stream->got++;
	if (r->forged || streams_counts(r->room)->resynchronised)
		check_given(flow, bytes, len);
	else
		FUZZ_CHECK(find_true(stream, r->repeated ? 0 : stream->order, bytes, len));
}

static void on_end(void *arg, const struct flow *flow)
{
	(void)arg;
	FUZZ_CHECK(stream_of(flow) >= 0);
}

static void check_equation(const struct run *r)
{
	enum { BYTES_IN, BYTES_OUT, BYTES_REASON, NOTE };
	const struct streams_counts *c = streams_counts(r->room);
	uint64_t sums[4] = {0};

#define ADD(name, kind, text) sums[kind] += c->name;
	STREAMS_COUNTS_LIST(ADD)
#undef ADD
	FUZZ_CHECK(sums[BYTES_IN] ==
		   sums[BYTES_OUT] + 2 * c->messages + sums[BYTES_REASON] + streams_held(r->room));
}

/* Nothing was lost on the way, so all that was delivered without a gap has come. */
static void check_complete(const struct run *r)
{
	const struct streams_counts *c = streams_counts(r->room);

	if (r->forged || r->repeated || r->ended || r->unordered || c->holes || c->evicted ||
		c->evicted_memory || c->timed_out || c->resynchronised ||
		r->now - r->began > STREAMS_IDLE_NS) /* then a SYN is forgotten */
		return;
	for (unsigned int i = 0; i < STREAMS; i++) {
		const struct stream *stream = &r->streams[i];
		uint32_t messages = 0, at = 0;

		while (whole_at(stream, at) && delivered(stream, at, 2 + length_at(stream, at))) {
			at += 2 + length_at(stream, at);
			messages++;
		}
		FUZZ_CHECK(!stream->syn || stream->got == messages);
	}
}

/* Nothing is missing and nothing has waited, so there was no hole. */
static void check_holes(const struct run *r)
{
	if (r->forged || r->repeated || r->ended || r->unordered || r->cut || r->now != r->began ||
		r->sends > SENDS_FEW || r->sent > SENT_LITTLE)
		return;
	for (unsigned int i = 0; i < STREAMS; i++) {
		const struct stream *stream = &r->streams[i];

		if (!delivered(stream, 0, stream->finned ? stream->len : stream->next))
			return;
	}
	FUZZ_CHECK(!streams_counts(r->room)->holes);
}

/* What the commands send. */

static uint64_t pause_of(uint8_t byte)
{
	static const uint64_t pauses[] = {
		0, 0, MS / 1000, MS, 20 * MS, 500 * MS, 3000 * MS, 130000 * MS};

	return pauses[byte % (sizeof(pauses) / sizeof(pauses[0]))];
}

static void send_packet(struct run *r, unsigned int i, uint32_t seq, uint8_t flags,
	const uint8_t *bytes, uint32_t have, uint32_t len)
{
	const struct stream *other = &r->streams[i ^ 1];
	uint8_t *copy = fuzz_copy(bytes, have), key[HEARD_KEY_MAX] = {0};
	struct packet p = {.kind = PACKET_SEGMENT,
		.flow = flow_of(i),
		.payload = copy,
		.payload_have = have,
		.payload_len = len,
		.seq = seq,
		.ack = other->isn + 1 + other->next,
		.tcp_flags = flags};

	memcpy(key, &p.flow, sizeof(p.flow));
	FUZZ_CHECK(heard_add(&heard, key, seq + !!(flags & TCP_SYN), bytes, have));
	r->sent += have;
	streams_segment(r->room, &p, r->now);
	fuzz_free(copy);
	check_equation(r);
}

static void send_part(
	struct run *r, unsigned int i, uint32_t at, uint32_t len, uint8_t flags, bool cut)
{
	struct stream *stream = &r->streams[i];
	uint32_t have;

	at = at < stream->len ? at : stream->len;
	len = len < stream->len - at ? len : stream->len - at;
	have = cut ? len / 2 : len;
	if (!len && !(flags & TCP_FIN))
		return;
	if (!stream->syn || !r->streams[i ^ 1].syn)
		r->unordered = true;
	stream->finned |= flags & TCP_FIN;
	r->cut |= cut;
	r->sends++;
	memset(stream->delivered + at, 1, have);
	if (at + len > stream->next)
		stream->next = at + len;
	send_packet(r, i, stream->isn + 1 + at, flags, stream->bytes + at, have, len);
}

static void send_syn(struct run *r, unsigned int i)
{
	struct stream *stream = &r->streams[i];

	if (stream->syn || stream->next)
		r->repeated = true;
	r->unordered |= !(i & 1) && r->streams[i ^ 1].syn;
	stream->syn = true;
	send_packet(r, i, stream->isn, i & 1 ? TCP_SYN | TCP_ACK : TCP_SYN, NULL, 0, 0);
}

static void forge(struct run *r, struct script *s, unsigned int i)
{
	uint8_t flags = script_u8(s), near = script_u8(s);
	uint32_t seq = script_u32(s);
	const uint8_t *bytes;
	size_t len;

	if (near & 1)
		seq = r->streams[i].isn + 1 + (seq & 0xffff);
	bytes = script_bytes(s, script_u16(s) & 0xfff, &len);
	r->forged = true;
	send_packet(r, i, seq, flags, bytes, (uint32_t)len, (uint32_t)len + (near & 2 ? 10 : 0));
}

/* The same addresses for a new connection with the same content. */
static void reopen(struct run *r, unsigned int i)
{
	r->repeated = true;
	for (unsigned int dir = 0; dir < 2; dir++) {
		r->streams[(i & ~1U) + dir].isn += 0x1000000;
		r->streams[(i & ~1U) + dir].next = 0;
	}
	send_syn(r, i & ~1U);
}

static void take_command(struct run *r, struct script *s)
{
	enum command command = script_u8(s) % COMMANDS;
	uint8_t which = script_u8(s);
	unsigned int i = which % STREAMS;
	struct stream *stream = &r->streams[i];
	uint32_t at = stream->next;

	r->now += pause_of(which / STREAMS / 4);
	switch (command) {
	case SEND_AT:
		at = (uint32_t)(script_u16(s) << 2) % (stream->len + 1);
		/* fallthrough */
	case SEND_NEXT:
	case SEND_CUT:
		send_part(r, i, at, script_u16(s), TCP_ACK, command == SEND_CUT);
		break;
	case SYN:
		send_syn(r, i);
		break;
	case FIN:
		send_part(r, i, stream->len, 0, TCP_ACK | TCP_FIN, false);
		break;
	case RST:
		r->ended = r->repeated = true;
		send_packet(r, i, stream->isn + 1 + stream->next, TCP_RST | TCP_ACK, NULL, 0, 0);
		break;
	case ACK:
		send_packet(r, i, stream->isn + 1 + stream->next, TCP_ACK, NULL, 0, 0);
		break;
	case WAIT:
		r->now += pause_of(script_u8(s));
		streams_expire(r->room, r->now);
		break;
	case FORGE:
		forge(r, s, i);
		break;
	case REOPEN:
		reopen(r, i);
		break;
	case COMMANDS:
		break;
	}
}

static void finish(struct run *r)
{
	streams_drain(r->room);
	check_equation(r);
	FUZZ_CHECK(!streams_held(r->room) && !streams_count(r->room));
	check_complete(r);
	check_holes(r);
	streams_free(r->room);
	for (unsigned int i = 0; i < STREAMS; i++) {
		free(r->streams[i].bytes);
		free(r->streams[i].delivered);
	}
	heard_free(&heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct run r = {.now = 1000000 * MS, .began = 1000000 * MS};
	struct streams_output output = {.message = on_message, .end = on_end, .arg = &r};

	r.room = streams_new(1 + script_u8(&s) % 8, STREAMS_MEMORY_MIN, &output);
	FUZZ_CHECK(r.room);
	make_streams(&r, &s);
	for (int i = 0; s.left && i < COMMANDS_MAX && r.sent < BYTES_MAX; i++) {
		take_command(&r, &s);
		FUZZ_CHECK(!streams_count(r.room) || streams_next_expiry(r.room) != UINT64_MAX);
	}
	finish(&r);
	return 0;
}
