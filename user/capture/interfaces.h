/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rtnetlink tells of a network namespace, that of the socket which is asked: its interfaces
 * and the addresses that count as this host's own. Local is what the kernel's own `local` routing
 * table says, so 127.0.0.0/8 and AnyIP routes are in it; its broadcast routes give the broadcast
 * addresses. No state; each call asks anew.
 */
#ifndef CAPTURE_INTERFACES_H
#define CAPTURE_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/prefixes.h"
#include "capture/netlink.h"

struct interface {
	unsigned index;
	char name[IF_NAMESIZE];
	bool up, loopback;
	bool enslaved;  /* a bridge port or bond slave: its master shows the same packets */
	bool addressed; /* owns an IPv4 or a non-link-local IPv6 address */
	bool routed;    /* the device of a default route; only interfaces_mark_routed sets it */
	bool xdp;       /* has an XDP program, which may take packets before any tap sees them */
};

/* All interfaces; the caller frees *ret. 0 or -errno. */
int interfaces_list(struct netlink *route, struct interface **ret, size_t *ret_count);

/*
 * Marks the devices of default routes. Apart, because it walks the main table, which on a router
 * has a million routes. 0, or -errno and the marks are not all there.
 */
int interfaces_mark_routed(struct netlink *route, struct interface *all, size_t count);

/* Watched when none is named: up, without a master, and addressed or with a default route. */
static inline bool interface_is_default(const struct interface *i)
{
	return i->up && !i->enslaved && (i->addressed || i->routed);
}

/* Replaces the contents of both sets. 0, or -errno and both are as they were. */
int interfaces_local(struct netlink *route, struct prefixes *local, struct prefixes *broadcast);

/* What may have changed: what to ask again. */
enum interfaces_change {
	INTERFACES_LINKS = 1,  /* interfaces_list */
	INTERFACES_ROUTED = 2, /* interfaces_mark_routed */
	INTERFACES_LOCAL = 4,  /* interfaces_local */
	INTERFACES_ALL = 7,
};

/*
 * Makes a socket of NETLINK_ROUTE readable when something changes. filter: routes other than local,
 * broadcast and default ones, of which a router may learn thousands a second, are refused by a
 * filter on the socket; it takes the kernel 5 ms to make one. 0 or -errno.
 */
int interfaces_subscribe(int fd, bool filter);
/* Takes what it has to tell: bits of enum interfaces_change; all after an overrun. */
unsigned interfaces_changed(int fd);

#endif
