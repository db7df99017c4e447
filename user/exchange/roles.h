/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which dnstap type a message has. A role is the pair QUERY/RESPONSE of one perspective; the QR
 * bit picks the member. With a fixed role the answer is constant. With ROLE_AUTO:
 *
 *   server side (the responder is local, loopback included):
 *     opcode UPDATE                                  -> UPDATE
 *     a server whose responses have set RA           -> CLIENT, whatever RD says
 *     a server whose responses have only left it clear -> AUTH
 *     not yet known                                  -> CLIENT with RD, AUTH without
 *   initiator side (only the initiator is local): RD -> FORWARDER, else RESOLVER
 *
 * A server is an address and port; at most ROLES_SERVERS_MAX are remembered, the one heard of
 * longest ago is forgotten first. RA once seen stays: a resolver that refuses one client clears RA
 * there and is a resolver still. FORMERR, NOTIMP and REFUSED teach nothing about a server that is
 * not known, for servers send them before they look at the query; nor does an opcode other than
 * QUERY, for which RA has no meaning. Pure, one thread.
 */
#ifndef EXCHANGE_ROLES_H
#define EXCHANGE_ROLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/flow.h"
#include "wire/dns.h"

/* Values are the QUERY types of dnstap.proto; the RESPONSE type is one more. */
enum role {
	ROLE_AUTO = 0,
	ROLE_AUTH = 1,
	ROLE_RESOLVER = 3,
	ROLE_CLIENT = 5,
	ROLE_FORWARDER = 7,
	ROLE_STUB = 9,
	ROLE_TOOL = 11,
	ROLE_UPDATE = 13,
};

enum { ROLES_SERVERS_MAX = 4096 };

struct roles;

/* NULL without memory. */
struct roles *roles_new(enum role fixed);
void roles_free(struct roles *roles);

/*
 * The role of a query, or of a response whose query is not known, by itself; a matched response
 * has its query's role, which the caller keeps in struct exchange_query. server_side is decided
 * by the caller from local addresses.
 */
enum role roles_decide(
	struct roles *roles, const struct flow *flow, const struct dns *dns, bool server_side);

/* Learns from a response on the server side; flow is the response's own (src is the server). */
void roles_learn(struct roles *roles, const struct flow *flow, const struct dns *dns);

#endif
