/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/own.h"

#include <netinet/in.h>
#include <string.h>

static bool read_end(
	const struct sockaddr *s, uint8_t *family, uint8_t address[static 16], uint16_t *port)
{
	if (s->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)s;

		*family = FAMILY_IPV4;
		memcpy(address, &in->sin_addr, 4);
		*port = ntohs(in->sin_port);
		return true;
	}
	if (s->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)s;

		*family = FAMILY_IPV6;
		memcpy(address, &in6->sin6_addr, 16);
		*port = ntohs(in6->sin6_port);
		return true;
	}
	return false;
}

void own_add(void *arg, int protocol, const struct sockaddr *local, const struct sockaddr *remote)
{
	struct own *own = arg;
	struct flow flow = {.protocol = (uint8_t)protocol};

	if (!read_end(local, &flow.family, flow.src, &flow.src_port) ||
		!read_end(remote, &flow.family, flow.dst, &flow.dst_port))
		return;
	pthread_mutex_lock(&own->lock);
	own->flows[own->next++ % OWN_SLOTS] = flow;
	pthread_mutex_unlock(&own->lock);
	atomic_store(&own->last, clock_monotonic());
}

bool own_contains(struct own *own, const struct flow *flow, uint64_t now)
{
	uint64_t last = atomic_load_explicit(&own->last, memory_order_acquire);
	struct flow back;
	bool found = false;

	if (!last || (now > last && now - last > OWN_MEMORY_NS))
		return false;
	back = flow_reversed(flow);
	pthread_mutex_lock(&own->lock);
	for (uint32_t i = 0; i < OWN_SLOTS && i < own->next && !found; i++)
		found = !memcmp(&own->flows[i], flow, sizeof(*flow)) ||
			!memcmp(&own->flows[i], &back, sizeof(back));
	pthread_mutex_unlock(&own->lock);
	return found;
}
