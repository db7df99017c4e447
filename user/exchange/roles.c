/* SPDX-License-Identifier: BSD-2-Clause */
#include "exchange/roles.h"

#include <stdlib.h>
#include <string.h>

#include "base/table.h"

/* A server as a key: plain memory without padding. */
struct server {
	uint8_t address[16];
	uint16_t port;
	uint16_t family;
};
_Static_assert(sizeof(struct server) == 20, "struct server is hashed as memory");

struct knowledge {
	bool recursive; /* has set RA at least once */
};

struct roles {
	enum role fixed;
	struct table *servers; /* NULL with a fixed role */
};

struct roles *roles_new(enum role fixed)
{
	struct roles *roles = calloc(1, sizeof(*roles));

	if (!roles)
		return NULL;
	roles->fixed = fixed;
	if (fixed != ROLE_AUTO)
		return roles;
	roles->servers =
		table_new(ROLES_SERVERS_MAX, sizeof(struct server), sizeof(struct knowledge));
	if (!roles->servers) {
		roles_free(roles);
		return NULL;
	}
	return roles;
}

void roles_free(struct roles *roles)
{
	if (!roles)
		return;
	table_free(roles->servers);
	free(roles);
}

static struct server server_of(const struct flow *flow, bool is_src)
{
	struct server server = {
		.port = is_src ? flow->src_port : flow->dst_port,
		.family = flow->family,
	};

	memcpy(server.address, is_src ? flow->src : flow->dst, sizeof(server.address));
	return server;
}

enum role roles_decide(
	struct roles *roles, const struct flow *flow, const struct dns *dns, bool server_side)
{
	const struct knowledge *known;
	struct server server;

	if (roles->fixed != ROLE_AUTO)
		return roles->fixed;
	if (!server_side)
		return dns->rd ? ROLE_FORWARDER : ROLE_RESOLVER;
	if (dns->opcode == DNS_OPCODE_UPDATE)
		return ROLE_UPDATE;
	server = server_of(flow, dns->qr);
	known = table_find(roles->servers, &server);
	if (known ? known->recursive : dns->rd)
		return ROLE_CLIENT;
	return ROLE_AUTH;
}

static bool says_nothing_of_ra(const struct dns *dns)
{
	return dns->rcode == DNS_RCODE_FORMERR || dns->rcode == DNS_RCODE_NOTIMP ||
		dns->rcode == DNS_RCODE_REFUSED;
}

static struct knowledge *add_server(struct table *servers, const struct server *server)
{
	if (table_full(servers))
		table_remove(servers, table_oldest(servers));
	return table_add(servers, server);
}

void roles_learn(struct roles *roles, const struct flow *flow, const struct dns *dns)
{
	struct knowledge *known;
	struct server server;

	if (roles->fixed != ROLE_AUTO || dns->opcode != DNS_OPCODE_QUERY)
		return;
	server = server_of(flow, true);
	known = table_find(roles->servers, &server);
	if (known)
		table_touch(roles->servers, known);
	else if (says_nothing_of_ra(dns))
		return;
	else
		known = add_server(roles->servers, &server);
	known->recursive |= dns->ra;
}
