/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What rtnetlink tells of the calling thread's network namespace: its interfaces and the
 * addresses that count as this host's own. Local is what the kernel's own `local` routing table
 * says, so 127.0.0.0/8 and AnyIP routes are in it; its broadcast routes give the broadcast
 * addresses. No state; each call asks anew.
 */
#ifndef CAPTURE_INTERFACES_H
#define CAPTURE_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/prefixes.h"

struct interface {
	unsigned index;
	char name[IF_NAMESIZE];
	bool up, loopback;
	bool enslaved;  /* a bridge port or bond slave: its master shows the same packets */
	bool addressed; /* owns an IPv4 or a non-link-local IPv6 address */
	bool routed;    /* the device of a default route */
};

/* All interfaces; the caller frees *ret. 0 or -errno. */
int interfaces_list(struct interface **ret, size_t *ret_count);

/* Watched when none is named: up, without a master, and addressed or with a default route. */
static inline bool interface_is_default(const struct interface *i)
{
	return i->up && !i->enslaved && (i->addressed || i->routed);
}

/* Replaces the contents of both sets. 0, or -errno and both are as they were. */
int interfaces_local(struct prefixes *local, struct prefixes *broadcast);

/* A descriptor that becomes readable when an address comes or goes; -errno. The caller closes it.
 */
int interfaces_watch(void);
/* Takes what it has to tell: true when interfaces_local is worth asking again. */
bool interfaces_changed(int fd);

#endif
