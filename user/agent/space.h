/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One network namespace that is watched: the sockets on its interfaces and what its rtnetlink
 * tells. agent/taps decides which namespaces there are; this decides what is attached in one.
 *
 * An interface is attached while the rule asks for it, and only as long as it is the same: a socket
 * whose interface vanished stays bound to nothing, also when a new one has its name and its index.
 * A socket on an interface that is named by -i stays while that is down: the kernel goes on with
 * it. What is detached is remembered until its records have been drained (space_forget), because
 * they carry only the interface's index.
 *
 * Everything is the space's own and closed by space_free. One thread.
 */
#ifndef AGENT_SPACE_H
#define AGENT_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/closer.h"
#include "agent/taps.h"
#include "base/clock.h"
#include "capture/interfaces.h"

/* Looks that may follow one another at once; each comes back after a second. */
enum { SPACE_LOOKS = 4 };
/* An XDP program may be there before the sockets it serves: how long until they are looked for. */
#define SPACE_XDP_AGAIN_NS (10 * NS_PER_SECOND)
/* After the opener did not answer in time; and after what else may pass: a full table of files. */
#define SPACE_AGAIN_NS (NS_PER_SECOND / 4)
#define SPACE_RETRY_NS NS_PER_SECOND

/* A socket on an interface. */
struct tap {
	struct interface interface;
	int fd;           /* -1: detached, remembered for its name */
	uint64_t closing; /* its number at the closer, once detached */
	uint64_t closed;  /* monotonic ns when it was found closed; 0: open, or not yet */
	bool sockets_told, program_told; /* what takes packets before it */
};

struct space;

/* What every space uses. */
struct space_shared {
	const struct options *options;
	struct loader *loader;
	struct taps_source source;
	struct closer *closer;
	/* Tells what was attached or detached; not during the first look. */
	void (*report)(void *arg, const struct space *space, const char *interface, bool attached);
	void *arg;
};

struct space {
	struct netns_entry entry; /* id 0: our own */
	uint16_t slot;
	bool dead;  /* let go: only its names are still needed */
	bool found; /* by the scan under way */
	int watch_fd;
	struct netlink route, diag; /* diag.fd -1: the kernel has none */
	int protocols_fd;           /* for bypass_count; -1: not of other namespaces */
	struct tap *taps;
	size_t count;
	struct interface *known; /* as of the last look */
	size_t known_count;
	struct prefixes *local, *broadcast;
	unsigned pending;    /* bits of enum interfaces_change */
	uint64_t look_at;    /* monotonic ns; UINT64_MAX: nothing to look at */
	uint64_t again_at;   /* the same for sockets behind an XDP program */
	uint64_t looks_from; /* as if a look a second had been used since */
};

/* Opens its sockets; nothing is attached yet. 0 or -errno. entry NULL: our own. */
int space_new(const struct space_shared *shared, const struct netns_entry *entry, uint16_t slot,
	struct space **ret);
void space_free(struct space *space, struct closer *closer);

/* Its rtnetlink socket is readable: plans a look. */
void space_notice(struct space *space, uint64_t now);
/* When the next look is due, monotonic ns; UINT64_MAX: none. */
uint64_t space_due(const struct space *space);
/*
 * Asks for what may have changed, and attaches and detaches. first: in our own namespace the names
 * of -i must exist, and without them something must be there to watch. 1 when anything changed,
 * 0, or -errno after a line was logged.
 */
int space_look(struct space *space, const struct space_shared *shared, bool first);
/* Closes all sockets: the namespace can go. */
void space_let_go(struct space *space, const struct space_shared *shared);

/*
 * All records from before that moment have been drained: forgets what was closed before. True when
 * the space is dead and nothing of it is left.
 */
bool space_forget(struct space *space, struct closer *closer, uint64_t drained);

/* Attached interfaces, without loopback. */
size_t space_watched(const struct space *space);
/* The name of the interface with that index, or NULL. */
const char *space_interface(const struct space *space, uint32_t index);

#endif
