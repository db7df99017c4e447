/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is this packet a copy of one already seen on its way through the host? A packet that crosses a
 * VLAN or macvlan parent and its child, a bridge and its port, or a router's two interfaces passes
 * several taps. The first tap to see it wins; the same packet (flow, TCP numbers, fragment place
 * and payload; not the TTL, which routers change) at another tap within DUPLICATES_WINDOW_NS is a
 * copy. At the same tap it is a retransmission: the sender sent it again, and it is no copy.
 *
 * A tap is an interface and a direction. Bounds: the newest DUPLICATES_MAX packets are remembered;
 * where more pass within the window a copy may be missed, never a packet taken for one. Equality is
 * that of a 64-bit keyed hash. Pure, one thread.
 */
#ifndef WIRE_DUPLICATES_H
#define WIRE_DUPLICATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/packet.h"

enum { DUPLICATES_MAX = 65536 };
/* Queues and neighbour look-ups between two taps take long; resolvers ask again after 376 ms. */
#define DUPLICATES_WINDOW_NS 300000000ULL

struct duplicates;

struct duplicates *duplicates_new(void);
void duplicates_free(struct duplicates *duplicates);

/* tap: any number that tells interfaces and directions apart. now: monotonic ns. */
bool duplicates_is_copy(
	struct duplicates *duplicates, const struct packet *packet, uint64_t tap, uint64_t now);

#endif
