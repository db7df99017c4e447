/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses and flows, the common currency of the rooms above. Ports are in host byte order,
 * addresses in network byte order; an IPv4 address stands in the first 4 of 16 bytes and the
 * other 12 are zero, so flows can be compared and hashed as plain memory.
 */
#ifndef BASE_FLOW_H
#define BASE_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAMILY_IPV4 = 4, FAMILY_IPV6 = 6 };

/* One direction of an exchange, as the packet has it. No padding: 38 bytes of plain memory. */
struct flow {
	uint8_t src[16];
	uint8_t dst[16];
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t family;   /* FAMILY_IPV4 or FAMILY_IPV6 */
	uint8_t protocol; /* IPPROTO_UDP or IPPROTO_TCP */
};
_Static_assert(sizeof(struct flow) == 38, "struct flow is hashed as memory and has no padding");

/* Where a packet was seen. */
struct origin {
	uint32_t ifindex; /* 0: unknown */
	uint16_t tap;     /* which network namespace */
	uint16_t vlan;    /* VLAN id, the innermost; 0: none */
	bool from_here; /* this host sent it, or it went over loopback, or none of that is known */
};

/* The length of an address in bytes: 4 or 16. */
static inline size_t family_len(uint8_t family)
{
	return family == FAMILY_IPV4 ? 4 : 16;
}

/* The same flow seen from the other end. */
struct flow flow_reversed(const struct flow *flow);

enum { ADDRESS_TEXT_MAX = 46 }; /* INET6_ADDRSTRLEN */

/* The address in its usual text form, in text; returns text. */
char *address_text(const uint8_t address[16], uint8_t family, char text[static ADDRESS_TEXT_MAX]);

#endif
