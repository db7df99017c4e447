/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is attached where: one AF_PACKET socket on each watched interface, of this network namespace
 * and, with --netns, of others. It follows the host: interfaces that come, go, are renamed, get or
 * lose an address, a default route or a master are attached and detached by the rule of the start
 * (interface_is_default, or the names of -i), and namespaces are looked for every TAPS_SCAN_S
 * seconds. rtnetlink's messages only say that a look is worth it; a look asks for all that may have
 * changed, so an overrun of the socket costs nothing but a look. A namespace is looked at
 * TAPS_DELAY_MS after the first message, so that what comes together is seen together, and in the
 * long run no more than once a second.
 *
 * Why one socket an interface, also in the other namespaces, and not one for all interfaces: before
 * Linux 6.15 a packet socket that is bound to no interface costs every packet of every namespace of
 * the machine, it would show bridge ports and what they carry a second time, and loopback twice.
 *
 * A namespace whose last process and name are gone is let go at the next look; our sockets would
 * keep it alive. Its number (the slot, record.tap) is given away again when all its records have
 * been drained, the longest unused first. While the namespaces cannot be listed nobody knows which
 * are dead: all others than our own are let go TAPS_BLIND_S after that began, until they can.
 *
 * Everything it needs of the kernel beyond its own descriptors comes through struct taps_source,
 * so that it works in a process without privileges. It logs. One thread.
 */
#ifndef AGENT_TAPS_H
#define AGENT_TAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/extra.h"
#include "agent/options.h"
#include "base/prefixes.h"
#include "capture/loader.h"
#include "capture/netns.h"

enum {
	TAPS_NETNS_MAX = 255, /* namespaces watched beside our own; what is one too many waits */
	TAPS_SCAN_S = 2,
	TAPS_BLIND_S = 4, /* after the first listing that failed */
	TAPS_DELAY_MS = 30,
	TAPS_STEP_MS = 5
};

/* As netns_socket and netns_list, here or in another process. */
struct taps_source {
	int (*socket)(void *arg, uint64_t id, enum netns_socket kind);
	int (*list)(void *arg, struct netns_entry *ret, size_t max);
	void *arg;
};

struct taps;

/*
 * Attaches to what is there. The options and the loader are the caller's and outlive it. 0, or
 * -errno after a line was logged: without --netns something must be there to watch.
 */
int taps_new(const struct options *options, struct loader *loader, const struct taps_source *source,
	struct taps **ret);
/* Closes what is open: the kernel takes some 13 ms for each socket. NULL is fine. */
void taps_free(struct taps *taps);

/* Readable when taps_follow has something to do. */
int taps_fd(const struct taps *taps);
/*
 * True when what the functions below tell may have changed. It ends after TAPS_STEP_MS, and is due
 * again at once, when there is more to do than that: the rings want to be drained meanwhile.
 */
bool taps_follow(struct taps *taps);
/* All records from before that moment, monotonic ns, have left the rings. */
void taps_drained(struct taps *taps, uint64_t before);

/* The watched interfaces, for a line to the operator; valid until the next call. */
const char *taps_names(struct taps *taps);
/* How many interfaces are watched, and network namespaces beside our own. */
struct taps_levels {
	size_t interfaces, namespaces;
};

void taps_read_levels(const struct taps *taps, struct taps_levels *ret);
/* For pipeline_expect_copies: more than one interface but loopback, and loopback's index or 0. */
bool taps_copies_possible(const struct taps *taps);
uint32_t taps_loopback(const struct taps *taps);
/* Replaces the contents of both sets by the addresses of all watched namespaces. 0 or -errno. */
int taps_local(const struct taps *taps, struct prefixes *local, struct prefixes *broadcast);

/* The names behind a record's tap and index; it asks these taps, which must outlive its use. */
struct extra_names taps_extra_names(const struct taps *taps);

#endif
