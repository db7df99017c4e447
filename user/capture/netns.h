/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding network namespaces, and making sockets inside them. A namespace is known by the inode
 * number of its file in nsfs; it is found by name in /run/netns and /var/run/docker/netns, and as
 * the one of each process in /proc, however often: it is listed once. One that no process is in
 * and that has no name there is not listed, whoever else holds it open.
 *
 * This runs in the process that holds the capabilities (CAP_SYS_ADMIN to enter, CAP_SYS_PTRACE to
 * look at other users' processes, CAP_NET_RAW for packet sockets): entering changes the calling
 * thread's namespace for the length of one socket(2), and netns_socket puts it back. A
 * descriptor of the caller's own namespace is all it holds between two calls; none of another one,
 * so that it keeps none alive.
 *
 * Bounds: NETNS_MAX namespaces are listed, those first that were there at the listing before, in
 * its order, so that what comes drives out nothing; of those that are new the named first. One
 * thread.
 */
#ifndef CAPTURE_NETNS_H
#define CAPTURE_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NETNS_MAX = 512,         /* beside our own; more than are watched (TAPS_NETNS_MAX) */
	NETNS_NAME_MAX = 64,     /* bytes, with the final zero */
	NETNS_CONTAINER_MAX = 72 /* a container's id has 64 digits */
};

/* What a namespace's socket is for: AF_PACKET, SOCK_DGRAM with protocol 0; rtnetlink; sock_diag. */
enum netns_socket { NETNS_PACKET, NETNS_ROUTE, NETNS_DIAG };

struct netns_entry {
	uint64_t id;                         /* the inode number; never 0 */
	int32_t pid;                         /* one process in it; 0: only a name keeps it */
	char name[NETNS_NAME_MAX];           /* of its file; without one net:[id] */
	char container[NETNS_CONTAINER_MAX]; /* the id of that process's container; empty: none */
};

struct netns;

/*
 * wanted: `all`, a name of the two folders, a container's id (12 digits of it or more), or a
 * process id, whose namespace it is while the process lives. The strings must outlive it. 0 or
 * -errno. Nothing wanted: only sockets of the own namespace can be made.
 */
int netns_new(const char *const *wanted, size_t count, struct netns **ret);
void netns_free(struct netns *netns);

/*
 * The wanted namespaces that there are now but our own: how many (at most max), or -errno, and
 * then nothing can be said of any that is missing. Looks at all processes: meant for every other
 * second, not more often.
 */
int netns_list(struct netns *netns, struct netns_entry *ret, size_t max);

/* Whether a listing has ever found something for that one of the wanted. */
bool netns_met(const struct netns *netns, size_t wanted);

/* True when there are others than our own, as far as the caller may see. */
bool netns_has_others(void);

/*
 * A descriptor (close-on-exec) of a new socket in a namespace of the last netns_list, or with id
 * 0 in our own; -errno, and -ENOENT for one that was not listed or is gone since.
 */
int netns_socket(struct netns *netns, uint64_t id, enum netns_socket kind);

#endif
