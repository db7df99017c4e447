/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/pipeline.h"

#include <string.h>

#include "agent/pipeline_rooms.h"
#include "base/clock.h"
#include "wire/dns.h"
#include "wire/zone.h"

/* Packets drive time in a replay; this often is enough for skew and timeouts, ns. */
#define TICK_EVERY (5 * NS_PER_MS)

/* From where this host sees a message. */
enum side { SIDE_SERVER, SIDE_INITIATOR, SIDE_TRANSIT };

/* One DNS message on its way through the rooms. */
struct passing {
	struct flow flow;
	struct dns dns;
	uint64_t time, wall; /* ns, of the packet that completed it */
	struct origin origin;
};

static bool is_multicast(const struct pipeline *p, const struct flow *flow)
{
	static const uint8_t all_hosts[4] = {255, 255, 255, 255};

	if (flow->family == FAMILY_IPV6)
		return flow->dst[0] == 0xff;
	return (flow->dst[0] & 0xf0) == 0xe0 || !memcmp(flow->dst, all_hosts, 4) ||
	       prefixes_contain(p->broadcast, FAMILY_IPV4, flow->dst);
}

/* Both ends local, as on loopback, is the server's side. */
static enum side side_of(const struct pipeline *p, const struct passing *m)
{
	const uint8_t *initiator = m->dns.qr ? m->flow.dst : m->flow.src;
	const uint8_t *responder = m->dns.qr ? m->flow.src : m->flow.dst;

	if (p->all_server_side || prefixes_contain(p->local, m->flow.family, responder))
		return SIDE_SERVER;
	if (prefixes_contain(p->local, m->flow.family, initiator))
		return SIDE_INITIATOR;
	return SIDE_TRANSIT;
}

static struct bytes zone_bytes(struct pipeline *p, const struct passing *m, enum role role)
{
	struct bytes zone = {0};

	if (!p->options->query_zone)
		return zone;
	if (role == ROLE_AUTH || role == ROLE_RESOLVER || role == ROLE_UPDATE)
		zone.len = zone_of(&m->dns, p->zone);
	if (zone.len)
		zone.at = p->zone;
	return zone;
}

/* The bytes of a response's query, where they are kept and still there. */
static struct bytes query_bytes(struct pipeline *p, const struct exchange_query *query)
{
	struct bytes bytes = {0};

	if (!query || !query->copy.len || !p->copies)
		return bytes;
	bytes.at = copies_fetch(p->copies, query->copy);
	if (bytes.at)
		bytes.len = query->copy.len;
	else
		p->ledger.query_copies_lost++;
	return bytes;
}

/*
 * Sends one message, from the initiator's side: forward is the query's direction. query is what a
 * message knows of its query; NULL: nothing.
 */
static void emit(struct pipeline *p, const struct passing *m, const struct flow *forward,
	enum role role, const struct exchange_query *query)
{
	struct bytes bytes = {.at = m->dns.bytes, .len = m->dns.have};
	uint8_t cut[16];
	struct message message = {
		.type = (enum message_type)role + m->dns.qr,
		.family = forward->family,
		.protocol = forward->protocol,
		.query_address = forward->src,
		.response_address = forward->dst,
		.query_port = forward->src_port,
		.response_port = forward->dst_port,
		.query_time = query ? query->wall : 0,
		.query_zone = zone_bytes(p, m, role),
		.dns = &m->dns,
	};

	if (!filter_message(p->filter, message.type, &m->dns, &p->ledger))
		return;
	if (filter_anonymises(p->filter))
		message.query_address = filter_client_address(p->filter, message.type,
			side_of(p, m) == SIDE_INITIATOR, forward->family, forward->src, cut);
	if (m->dns.qr) {
		message.response_time = m->wall;
		message.response = bytes;
		message.query = query_bytes(p, query);
	} else {
		message.query = bytes;
	}
	if (p->extra)
		message.extra = extra_format(p->extra, &m->origin);
	if (!emit_message(p->emit, &message)) {
		p->ledger.frame_oversize++;
		return;
	}
	p->ledger.frames++;
	statistics_message(&p->statistics, &message);
}

/* Who watches other hosts' traffic stands on no side; the server's is the one that is told. */
static enum role role_of(struct pipeline *p, const struct passing *m, enum side side)
{
	return roles_decide(p->roles, &m->flow, &m->dns, side != SIDE_INITIATOR);
}

static void emit_unmatched(struct pipeline *p, const struct passing *m)
{
	struct flow forward = flow_reversed(&m->flow);

	p->ledger.responses++;
	p->ledger.responses_unmatched++;
	emit(p, m, &forward, role_of(p, m, side_of(p, m)), NULL);
}

static bool emit_matched(struct pipeline *p, const struct passing *m)
{
	struct flow forward = flow_reversed(&m->flow);
	struct exchange_query query;

	if (!exchanges_response(p->exchanges, &m->flow, &m->dns, m->time, &query))
		return false;
	statistics_answer(&p->statistics, query.role, query.time, m->time);
	emit(p, m, &forward, query.role, &query);
	return true;
}

/* A held response has been parsed before and parses again. */
static void passing_of_held(const struct held_response *h, struct passing *ret)
{
	ret->flow = h->flow;
	ret->time = h->time;
	ret->wall = h->wall;
	ret->origin = h->origin;
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

void pipeline_let_go(struct pipeline *p)
{
	let_go_expired(p, UINT64_MAX);
}

/* The responses that were read before this query. */
static void let_go_answers(struct pipeline *p, const struct passing *query)
{
	struct held_response h;
	struct passing m;

	while (exchanges_expects(p->exchanges, &query->flow, query->dns.id) &&
		held_take_match(p->held, &query->flow, query->dns.id, &h)) {
		passing_of_held(&h, &m);
		if (!emit_matched(p, &m))
			emit_unmatched(p, &m);
	}
}

static void make_room(struct pipeline *p, uint32_t have)
{
	struct held_response h;
	struct passing m;

	while (held_needs_room(p->held, have) && held_take_expired(p->held, UINT64_MAX, &h)) {
		passing_of_held(&h, &m);
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
		.origin = m->origin,
		.bytes = m->dns.bytes,
	};

	make_room(p, h.have);
	if (held_add(p->held, &h))
		p->ledger.responses_held++;
	else
		emit_unmatched(p, m);
}

static void respond(struct pipeline *p, const struct passing *m, enum side side)
{
	if (!emit_matched(p, m)) {
		hold(p, m);
		return;
	}
	/* Anybody may send us a response in our server's name: what it sent itself teaches. */
	if (side == SIDE_TRANSIT || p->all_server_side ||
		(side == SIDE_SERVER && m->origin.from_here))
		roles_learn(p->roles, &m->flow, &m->dns);
}

static void ask(struct pipeline *p, const struct passing *m, enum side side)
{
	struct exchange_query query = {
		.time = m->time,
		.wall = m->wall,
		.role = role_of(p, m, side),
	};

	if (p->copies && p->options->with_query)
		query.copy = copies_store(p->copies, m->dns.bytes, m->dns.have);
	exchanges_query(p->exchanges, &m->flow, &m->dns, &query);
	emit(p, m, &m->flow, query.role, &query);
	if (held_count(p->held))
		let_go_answers(p, m);
}

static bool is_reported(struct pipeline *p, const struct passing *m, enum side side)
{
	if (is_multicast(p, &m->flow)) {
		p->ledger.multicast++;
		return false;
	}
	if (side == SIDE_TRANSIT && !p->options->transit) {
		p->ledger.transit++;
		return false;
	}
	if (own_contains(p->own, &m->flow, m->time)) {
		p->ledger.own++;
		return false;
	}
	return filter_exchange(p->filter, &m->flow, &m->dns, &p->ledger);
}

static bool parse_message(struct pipeline *p, const struct intake_message *message, struct dns *ret)
{
	enum dns_result result = DNS_MALFORMED;

	if (message->len <= DNS_MESSAGE_MAX)
		result = dns_parse(message->bytes, message->have, message->len, ret);
	if (result == DNS_OK && message->have < message->len && emit_wants_bytes(p->emit))
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

void pipeline_on_message(void *arg, const struct intake_message *message)
{
	struct pipeline *p = arg;
	struct passing m = {
		.flow = message->flow,
		.time = message->time,
		.wall = message->time + p->wall_minus_time,
		.origin = message->origin,
	};
	enum side side;

	if (!parse_message(p, message, &m.dns))
		return;
	side = side_of(p, &m);
	if (!is_reported(p, &m, side))
		return;
	if (m.dns.qr)
		respond(p, &m, side);
	else
		ask(p, &m, side);
}

void pipeline_on_connection_end(void *arg, const struct flow *flow)
{
	struct pipeline *p = arg;

	exchanges_connection_end(p->exchanges, flow);
}

void pipeline_packet(void *arg, const struct captured *c)
{
	struct pipeline *p = arg;

	if (p->options->read && c->time >= p->next_tick)
		pipeline_tick(p, c->time);
	intake_packet(p->intake, c);
}

void pipeline_tick(struct pipeline *p, uint64_t now)
{
	p->next_tick = now + TICK_EVERY;
	intake_expire(p->intake, now);
	let_go_expired(p, now);
	exchanges_expire(p->exchanges, now);
}

uint64_t pipeline_next_tick(const struct pipeline *p)
{
	return clock_earlier(intake_next_expiry(p->intake),
		clock_earlier(held_next_expiry(p->held), exchanges_next_expiry(p->exchanges)));
}

void pipeline_flush(struct pipeline *p)
{
	emit_flush(p->emit);
}

void pipeline_drain(struct pipeline *p)
{
	intake_drain(p->intake);
	let_go_expired(p, UINT64_MAX);
	exchanges_drain(p->exchanges);
	emit_flush(p->emit);
}
