/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/intake.h"

#include <stdlib.h>
#include <string.h>

#include "wire/dns.h"
#include "wire/duplicates.h"
#include "wire/packet.h"

struct intake {
	struct ledger *ledger;
	struct intake_output output;
	bool replay;
	uint64_t watched[65536 / 64]; /* a bit a port */
	struct duplicates *duplicates;
	bool copies_possible;
	uint32_t loopback; /* its interface index; 0: not watched */
	struct fragments *fragments;
	struct fragments_counts fragments_counts;
	struct streams *streams;
	struct origin origin; /* of the packet under way */
};

static void on_stream_message(
	void *arg, const struct flow *flow, const uint8_t *bytes, uint32_t len, uint64_t time)
{
	struct intake *in = arg;
	struct intake_message m = {.flow = *flow,
		.time = time,
		.bytes = bytes,
		.have = len,
		.len = len,
		.origin = in->origin};

	in->ledger->stream_messages++;
	in->output.message(in->output.arg, &m);
}

static void on_stream_end(void *arg, const struct flow *flow)
{
	struct intake *in = arg;

	in->output.connection_end(in->output.arg, flow);
}

struct intake *intake_new(const struct intake_options *o)
{
	struct intake *in = calloc(1, sizeof(*in));
	struct streams_output output = {
		.message = on_stream_message, .end = on_stream_end, .arg = in};

	if (!in)
		return NULL;
	in->ledger = o->ledger;
	in->output = o->output;
	in->replay = o->replay;
	intake_set_ports(in, o->ports, o->port_count);
	in->duplicates = duplicates_new();
	in->fragments = fragments_new(
		FRAGMENTS_MAX_DATAGRAMS_DEFAULT, FRAGMENTS_MEMORY_DEFAULT, &in->fragments_counts);
	in->streams = streams_new(o->max_streams, o->stream_memory, &output);
	if (!in->duplicates || !in->fragments || !in->streams) {
		intake_free(in);
		return NULL;
	}
	return in;
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	duplicates_free(in->duplicates);
	fragments_free(in->fragments);
	streams_free(in->streams);
	free(in);
}

void intake_expect_copies(struct intake *in, bool possible, uint32_t loopback)
{
	in->copies_possible = possible;
	in->loopback = loopback;
}

void intake_set_ports(struct intake *in, const uint16_t *ports, size_t count)
{
	memset(in->watched, 0, sizeof(in->watched));
	for (size_t i = 0; i < count; i++)
		in->watched[ports[i] / 64] |= 1ULL << (ports[i] % 64);
}

static bool is_watched(const struct intake *in, const struct flow *flow)
{
	return (in->watched[flow->src_port / 64] >> (flow->src_port % 64) & 1) ||
	       (in->watched[flow->dst_port / 64] >> (flow->dst_port % 64) & 1);
}

/*
 * A super-packet holds datagrams of gso_size bytes, the last one of what is left. Guests' old
 * drivers give the size of fragments there, so it is one only where every piece is a message.
 */
static bool is_super_packet(const struct packet *packet)
{
	struct dns dns;

	if (!packet->gso_size || packet->payload_have < packet->payload_len)
		return packet->gso_size;
	for (uint32_t at = 0; at < packet->payload_len; at += packet->gso_size) {
		uint32_t left = packet->payload_len - at;
		uint32_t len = left < packet->gso_size ? left : packet->gso_size;

		if (dns_parse(packet->payload + at, len, len, &dns) != DNS_OK)
			return false;
	}
	return true;
}

static void take_datagrams(struct intake *in, const struct packet *packet, uint64_t time)
{
	uint32_t each = is_super_packet(packet) ? packet->gso_size : packet->payload_len, at = 0;

	do {
		uint32_t len = packet->payload_len - at < each ? packet->payload_len - at : each;
		uint32_t here = packet->payload_have > at ? packet->payload_have - at : 0;
		struct intake_message m = {.flow = packet->flow,
			.time = time,
			.bytes = packet->payload + (here ? at : 0),
			.have = here < len ? here : len,
			.len = len,
			.origin = in->origin};

		if (at)
			in->ledger->datagrams_split++;
		in->output.message(in->output.arg, &m);
		at += len;
	} while (at < packet->payload_len);
}

/* The ports of a reassembled datagram are known only now. */
static void take_reassembled(struct intake *in, const struct packet *fragment,
	const struct fragments_datagram *datagram, uint64_t time)
{
	struct packet packet = *fragment;

	packet.gso_size = 0; /* of the last fragment: not of the whole */
	in->ledger->reassembled++;
	if (packet_parse_payload(datagram->next, datagram->bytes, datagram->len, &packet)) {
		in->ledger->reassembled_malformed++;
	} else if (!is_watched(in, &packet.flow)) {
		in->ledger->reassembled_foreign++;
	} else if (packet.kind == PACKET_SEGMENT) {
		in->ledger->reassembled_segments++;
		streams_segment(in->streams, &packet, time);
	} else {
		take_datagrams(in, &packet, time);
	}
}

static void take_fragment(struct intake *in, const struct packet *packet, uint64_t time)
{
	struct fragments_datagram datagram;

	if (fragments_add(in->fragments, packet, time, &datagram) == FRAGMENTS_COMPLETE)
		take_reassembled(in, packet, &datagram, time);
}

static void take_packet(struct intake *in, const struct packet *packet, uint64_t time)
{
	switch (packet->kind) {
	case PACKET_DATAGRAM:
		in->ledger->datagrams++;
		take_datagrams(in, packet, time);
		break;
	case PACKET_SEGMENT:
		in->ledger->segments++;
		streams_segment(in->streams, packet, time);
		break;
	case PACKET_FRAGMENT:
		in->ledger->fragments++;
		take_fragment(in, packet, time);
		break;
	}
}

/* What the BPF program does for a live tap: whether the packet is for us at all. */
static bool is_selected(
	const struct intake *in, enum packet_result result, const struct packet *packet)
{
	if (!in->replay)
		return true;
	if (result == PACKET_OTHER)
		return false;
	return result != PACKET_OK || packet->kind == PACKET_FRAGMENT ||
	       is_watched(in, &packet->flow);
}

static bool is_copy(struct intake *in, const struct captured *c, const struct packet *packet)
{
	uint64_t tap = (uint64_t)c->tap << 48 | (uint64_t)c->ifindex << 1 | c->outgoing;

	if (!in->copies_possible || (c->ifindex && c->ifindex == in->loopback))
		return false;
	return duplicates_is_copy(in->duplicates, packet, tap, c->time);
}

static void set_origin(struct intake *in, const struct captured *c, const struct packet *packet)
{
	in->origin = (struct origin){
		.ifindex = in->replay ? 0 : c->ifindex, /* another host's number */
		.tap = c->tap,
		.vlan = packet->tag_count ? packet->tags[packet->tag_count - 1] : c->vlan,
		.from_here = in->replay || c->outgoing || c->ifindex == in->loopback,
	};
}

void intake_packet(struct intake *in, const struct captured *c)
{
	struct packet packet;
	enum packet_result result = packet_parse(c->bytes, &c->source, &packet);

	if (!is_selected(in, result, &packet))
		return;
	in->ledger->recorded++;
	in->ledger->matched += in->replay;
	switch (result) {
	case PACKET_OK:
		break;
	case PACKET_TRUNCATED:
		in->ledger->packet_truncated++;
		return;
	case PACKET_MALFORMED:
		in->ledger->packet_malformed++;
		return;
	case PACKET_OTHER:
		in->ledger->packet_other++;
		return;
	}
	if (is_copy(in, c, &packet)) {
		in->ledger->duplicates++;
		return;
	}
	set_origin(in, c, &packet);
	take_packet(in, &packet, c->time);
}

void intake_expire(struct intake *in, uint64_t now)
{
	in->origin = (struct origin){0};
	fragments_expire(in->fragments, now);
	streams_expire(in->streams, now);
}

uint64_t intake_next_expiry(const struct intake *in)
{
	uint64_t fragment = fragments_next_expiry(in->fragments);
	uint64_t stream = streams_next_expiry(in->streams);

	return fragment < stream ? fragment : stream;
}

void intake_drain(struct intake *in)
{
	in->origin = (struct origin){0};
	fragments_drain(in->fragments);
	streams_drain(in->streams);
}

const struct fragments_counts *intake_fragments(const struct intake *in)
{
	return &in->fragments_counts;
}

const struct streams_counts *intake_streams(const struct intake *in)
{
	return streams_counts(in->streams);
}

void intake_read_levels(const struct intake *in, struct intake_levels *ret)
{
	*ret = (struct intake_levels){
		.fragments = fragments_held(in->fragments),
		.streams = streams_count(in->streams),
		.streams_bytes = streams_held(in->streams),
		.fragments_memory = fragments_memory(in->fragments),
		.streams_memory = streams_memory(in->streams),
	};
}
