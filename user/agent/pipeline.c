/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "agent/emit.h"
#include "base/clock.h"
#include "exchange/exchanges.h"
#include "exchange/held.h"
#include "exchange/roles.h"
#include "wire/dns.h"
#include "wire/packet.h"

/* Packets drive time in a replay; this often is enough for skew and timeouts, ns. */
#define TICK_EVERY (5 * NS_PER_MS)

struct pipeline {
	struct ledger ledger;
	bool replay;
	uint64_t watched[65536 / 64]; /* a bit a port */
	const struct prefixes *local, *broadcast;
	struct own *own;
	uint64_t wall_minus_time;
	uint64_t next_tick; /* replay: packet time */
	struct roles *roles;
	struct exchanges *exchanges;
	struct held *held;
	struct emit *emit;
};

/* One DNS message on its way through the rooms. */
struct passing {
	struct flow flow;
	struct dns dns;
	uint64_t time, wall; /* ns, of the packet that completed it */
};

struct pipeline *pipeline_new(const struct pipeline_options *o)
{
	const struct options *options = o->options;
	struct pipeline *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->replay = options->read;
	p->local = o->local;
	p->broadcast = o->broadcast;
	p->own = o->own;
	for (size_t i = 0; i < options->port_count; i++)
		p->watched[options->ports[i] / 64] |= 1ULL << (options->ports[i] % 64);
	p->roles = roles_new((enum role)options->role);
	p->exchanges = exchanges_new(
		options->max_queries, options->query_timeout * NS_PER_SECOND, &p->ledger);
	p->held = held_new();
	p->emit = emit_new(o->sinks, o->sink_count, (enum lines_format)options->format,
		o->identity, o->version);
	if (!p->roles || !p->exchanges || !p->held || !p->emit) {
		pipeline_free(p);
		return NULL;
	}
	return p;
}

void pipeline_free(struct pipeline *p)
{
	if (!p)
		return;
	roles_free(p->roles);
	exchanges_free(p->exchanges);
	held_free(p->held);
	emit_free(p->emit);
	free(p);
}

void pipeline_set_wall(struct pipeline *p, uint64_t wall_minus_time)
{
	p->wall_minus_time = wall_minus_time;
}

static bool is_watched(const struct pipeline *p, uint16_t port)
{
	return p->watched[port / 64] >> (port % 64) & 1;
}

static bool is_multicast(const struct pipeline *p, const struct flow *flow)
{
	static const uint8_t all_hosts[4] = {255, 255, 255, 255};

	if (flow->family == FAMILY_IPV6)
		return flow->dst[0] == 0xff;
	return (flow->dst[0] & 0xf0) == 0xe0 || !memcmp(flow->dst, all_hosts, 4) ||
		(!p->replay && prefixes_contain(p->broadcast, FAMILY_IPV4, flow->dst));
}

/* Sends one message, from the initiator's side: forward is the query's direction. */
static void emit(struct pipeline *p, const struct passing *m, const struct flow *forward,
	enum role role, uint64_t query_wall)
{
	struct message message = {
		.type = (enum message_type)role + m->dns.qr,
		.family = forward->family,
		.protocol = forward->protocol,
		.query_address = forward->src,
		.response_address = forward->dst,
		.query_port = forward->src_port,
		.response_port = forward->dst_port,
		.query_time = query_wall,
		.dns = &m->dns,
	};
	struct bytes bytes = {.at = m->dns.bytes, .len = m->dns.have};

	if (m->dns.qr) {
		message.response_time = m->wall;
		message.response = bytes;
	} else {
		message.query = bytes;
	}
	if (emit_message(p->emit, &message))
		p->ledger.frames++;
	else
		p->ledger.frame_oversize++;
}

/* Both ends local, as on loopback, is the server's side. */
static bool is_server_side(const struct pipeline *p, const struct passing *m)
{
	const uint8_t *responder = m->dns.qr ? m->flow.src : m->flow.dst;

	return p->replay || prefixes_contain(p->local, m->flow.family, responder);
}

static bool is_transit(const struct pipeline *p, const struct passing *m)
{
	const uint8_t *initiator = m->dns.qr ? m->flow.dst : m->flow.src;

	return !p->replay && !prefixes_contain(p->local, m->flow.family, initiator);
}

static void emit_unmatched(struct pipeline *p, const struct passing *m)
{
	struct flow forward = flow_reversed(&m->flow);
	enum role role = roles_decide(p->roles, &m->flow, &m->dns, is_server_side(p, m));

	p->ledger.responses++;
	p->ledger.responses_unmatched++;
	emit(p, m, &forward, role, 0);
}

static bool emit_matched(struct pipeline *p, const struct passing *m)
{
	struct flow forward = flow_reversed(&m->flow);
	struct exchange_query query;

	if (!exchanges_response(p->exchanges, &m->flow, &m->dns, m->time, &query))
		return false;
	emit(p, m, &forward, query.role, query.wall);
	return true;
}

/* A held response has been parsed before and parses again. */
static void passing_of_held(const struct held_response *h, struct passing *ret)
{
	ret->flow = h->flow;
	ret->time = h->time;
	ret->wall = h->wall;
	dns_parse(h->bytes, h->have, h->len, &ret->dns);
}

static void let_go_expired(struct pipeline *p, uint64_t now)
{
	struct held_response h;
	struct passing m;

	while (held_take_expired(p->held, now, &h)) {
		passing_of_held(&h, &m);
		emit_unmatched(p, &m);
	}
}

static void let_go_answers(struct pipeline *p, const struct passing *query)
{
	struct held_response h;
	struct passing m;

	while (held_take_match(p->held, &query->flow, query->dns.id, &h)) {
		passing_of_held(&h, &m);
		if (!emit_matched(p, &m))
			emit_unmatched(p, &m);
	}
}

/* Its query may stand in another CPU's ring and come any moment. */
static void hold(struct pipeline *p, const struct passing *m)
{
	struct held_response h = {
		.flow = m->flow,
		.time = m->time,
		.wall = m->wall,
		.have = m->dns.have,
		.len = m->dns.len,
		.id = m->dns.id,
		.bytes = m->dns.bytes,
	};
	struct held_response oldest;

	while (held_needs_room(p->held, h.have) &&
		held_take_expired(p->held, UINT64_MAX, &oldest)) {
		struct passing old;

		passing_of_held(&oldest, &old);
		emit_unmatched(p, &old);
	}
	if (held_add(p->held, &h))
		p->ledger.responses_held++;
	else
		emit_unmatched(p, m);
}

static void respond(struct pipeline *p, const struct passing *m, bool server_side)
{
	if (server_side)
		roles_learn(p->roles, &m->flow, &m->dns);
	if (!emit_matched(p, m))
		hold(p, m);
}

static void ask(struct pipeline *p, const struct passing *m, bool server_side)
{
	struct exchange_query query = {
		.time = m->time,
		.wall = m->wall,
		.role = roles_decide(p->roles, &m->flow, &m->dns, server_side),
	};

	exchanges_query(p->exchanges, &m->flow, &m->dns, &query);
	emit(p, m, &m->flow, query.role, m->wall);
	if (held_count(p->held))
		let_go_answers(p, m);
}

static bool is_ours(struct pipeline *p, const struct passing *m, bool server_side)
{
	if (is_multicast(p, &m->flow)) {
		p->ledger.multicast++;
		return false;
	}
	if (!server_side && is_transit(p, m)) {
		p->ledger.transit++;
		return false;
	}
	if (own_contains(p->own, &m->flow, m->time)) {
		p->ledger.own++;
		return false;
	}
	return true;
}

static bool parse_message(
	struct pipeline *p, const uint8_t *bytes, uint32_t have, uint32_t len, struct dns *ret)
{
	enum dns_result result = DNS_MALFORMED;

	if (len <= DNS_MESSAGE_MAX)
		result = dns_parse(bytes, have, len, ret);
	if (result == DNS_OK && have < len && emit_wants_bytes(p->emit))
		result = DNS_TRUNCATED;
	switch (result) {
	case DNS_OK:
		p->ledger.messages++;
		return true;
	case DNS_SHORT:
		p->ledger.dns_short++;
		return false;
	case DNS_TRUNCATED:
		p->ledger.dns_truncated++;
		return false;
	case DNS_MALFORMED:
		break;
	}
	p->ledger.dns_malformed++;
	return false;
}

static void take_message(struct pipeline *p, const struct flow *flow, uint64_t time,
	const uint8_t *bytes, uint32_t have, uint32_t len)
{
	struct passing m = {.flow = *flow, .time = time, .wall = time + p->wall_minus_time};
	bool server_side;

	if (!parse_message(p, bytes, have, len, &m.dns))
		return;
	server_side = is_server_side(p, &m);
	if (!is_ours(p, &m, server_side))
		return;
	if (m.dns.qr)
		respond(p, &m, server_side);
	else
		ask(p, &m, server_side);
}

/* A super-packet holds datagrams of gso_size bytes, the last one of what is left. */
static void take_datagrams(struct pipeline *p, const struct packet *packet, uint64_t time)
{
	uint32_t each = packet->gso_size ? packet->gso_size : packet->payload_len, at = 0;

	p->ledger.datagrams++;
	do {
		uint32_t len = packet->payload_len - at < each ? packet->payload_len - at : each;
		uint32_t here = packet->payload_have > at ? packet->payload_have - at : 0;

		if (at)
			p->ledger.datagrams_split++;
		take_message(p, &packet->flow, time, packet->payload + at, here < len ? here : len, len);
		at += len;
	} while (at < packet->payload_len);
}

static void take_packet(struct pipeline *p, const struct packet *packet, uint64_t time)
{
	switch (packet->kind) {
	case PACKET_DATAGRAM:
		take_datagrams(p, packet, time);
		break;
	case PACKET_SEGMENT:
		p->ledger.segments++;
		break;
	case PACKET_FRAGMENT:
		p->ledger.fragments++;
		break;
	}
}

/* What the BPF program does for a live tap: whether the packet is for us at all. */
static bool is_selected(
	const struct pipeline *p, enum packet_result result, const struct packet *packet)
{
	if (!p->replay)
		return true;
	if (result == PACKET_OTHER)
		return false;
	return result != PACKET_OK || packet->kind == PACKET_FRAGMENT ||
		is_watched(p, packet->flow.src_port) || is_watched(p, packet->flow.dst_port);
}

void pipeline_packet(void *arg, const struct captured *c)
{
	struct pipeline *p = arg;
	struct packet packet;
	enum packet_result result = packet_parse(c->bytes, &c->source, &packet);

	if (!is_selected(p, result, &packet))
		return;
	p->ledger.recorded++;
	if (p->replay) {
		p->ledger.matched++;
		if (c->time >= p->next_tick)
			pipeline_tick(p, c->time);
	}
	switch (result) {
	case PACKET_OK:
		take_packet(p, &packet, c->time);
		break;
	case PACKET_TRUNCATED:
		p->ledger.packet_truncated++;
		break;
	case PACKET_MALFORMED:
		p->ledger.packet_malformed++;
		break;
	case PACKET_OTHER:
		p->ledger.packet_other++;
		break;
	}
}

void pipeline_tick(struct pipeline *p, uint64_t now)
{
	p->next_tick = now + TICK_EVERY;
	let_go_expired(p, now);
	exchanges_expire(p->exchanges, now);
}

uint64_t pipeline_next_tick(const struct pipeline *p)
{
	uint64_t held = held_next_expiry(p->held), query = exchanges_next_expiry(p->exchanges);

	return held < query ? held : query;
}

void pipeline_flush(struct pipeline *p)
{
	emit_flush(p->emit);
}

void pipeline_drain(struct pipeline *p)
{
	let_go_expired(p, UINT64_MAX);
	exchanges_drain(p->exchanges);
	emit_flush(p->emit);
}

struct ledger *pipeline_ledger(struct pipeline *p)
{
	return &p->ledger;
}

size_t pipeline_pending(const struct pipeline *p)
{
	return exchanges_pending(p->exchanges);
}
