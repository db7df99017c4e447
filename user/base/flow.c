/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/flow.h"

#include <arpa/inet.h>
#include <string.h>

struct flow flow_reversed(const struct flow *flow)
{
	struct flow back = *flow;

	memcpy(back.src, flow->dst, sizeof(back.src));
	memcpy(back.dst, flow->src, sizeof(back.dst));
	back.src_port = flow->dst_port;
	back.dst_port = flow->src_port;
	return back;
}

char *address_text(const uint8_t address[16], uint8_t family, char text[static ADDRESS_TEXT_MAX])
{
	int af = family == FAMILY_IPV4 ? AF_INET : AF_INET6;

	if (!inet_ntop(af, address, text, ADDRESS_TEXT_MAX))
		text[0] = '\0';
	return text;
}
