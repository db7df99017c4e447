/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/early.h"

#include <string.h>

#include "base/log.h"

static void copy_networks(
	struct loader_network *to, const struct options_prefix *from, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		to[i].family = from[i].family;
		to[i].len = from[i].len;
		memcpy(to[i].address, from[i].address, sizeof(to[i].address));
	}
}

struct loader_filter early_filter(
	struct early *room, const struct options *o, const struct filter *filter)
{
	struct loader_filter f = {
		.clients = room->clients,
		.servers = room->servers,
		.client_count = o->client_count,
		.server_count = o->server_count,
		.sample = (uint32_t)o->sample,
	};

	copy_networks(room->clients, o->clients, o->client_count);
	copy_networks(room->servers, o->servers, o->server_count);
	filter_sample_key(filter, f.sample_key);
	return f;
}

bool early_clamp(const struct options *o)
{
	if (o->query_zone || filter_wants_bytes(o))
		return false;
	for (size_t i = 0; i < o->sink_count; i++)
		if (o->sinks[i].full)
			return false;
	return true;
}

static bool same_networks(const struct options_prefix *a, size_t a_count,
	const struct options_prefix *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (a[i].family != b[i].family || a[i].len != b[i].len ||
			memcmp(a[i].address, b[i].address, sizeof(a[i].address)))
			return false;
	return true;
}

static void replace_networks(
	struct loader *loader, const struct options *was, const struct options *now)
{
	if (same_networks(was->clients, was->client_count, now->clients, now->client_count) &&
		same_networks(was->servers, was->server_count, now->servers, now->server_count))
		return;
	loader_disable_networks(loader);
	if (now->client_count || now->server_count)
		log_info("--client-net and --server-net have changed: until a restart packets of "
			 "other networks are left out by this process, no longer in the kernel");
}

void early_replace(struct loader *loader, const struct options *was, const struct options *now)
{
	loader_set_ports(loader, now->ports, now->port_count);
	replace_networks(loader, was, now);
	loader_set_sample(loader, (uint32_t)now->sample);
	if (was->sample < 2 && now->sample > 1)
		log_info("--sample is new: until a restart what is not in the sample may be left "
			 "out by this process, not in the kernel");
}

void early_unclamp(struct loader *loader, const struct options *now)
{
	if (!early_clamp(now))
		loader_disable_clamp(loader);
}
