/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A host's addresses, by c-ares: unlike getaddrinfo it keeps our deadline and tells each socket it
 * asks with, so that the tap can leave its own look-ups out of what it reports. Addresses in text
 * and /etc/hosts ask nobody. A new channel each time, so that a changed resolv.conf counts.
 *
 * Bounds: RESOLVE_MAX addresses, the rest is left out. Threads: the sender's; resolve_begin and
 * resolve_end from one thread of the process.
 */
#ifndef SINK_RESOLVE_H
#define SINK_RESOLVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sink/sink.h"
#include "sink/wait.h"

enum { RESOLVE_MAX = 16 };

struct resolved {
	size_t count;
	uint64_t seconds; /* for which they hold */
	struct {
		struct sockaddr_storage address;
		socklen_t len;
	} at[RESOLVE_MAX];
};

/* Once for each user of resolve, before its thread starts; resolve_end when it is over. */
int resolve_begin(void);
void resolve_end(void);

/* 0 or -errno; *ret_why is then a constant text or NULL. own_socket may be NULL. */
int resolve(const char *host, uint16_t port, struct wait *wait, sink_own_socket_fn *own_socket,
	void *own_socket_arg, struct resolved *ret, const char **ret_why);

/* Tells own_socket both ends of fd; nothing happens when it is NULL or fd not connected. */
void resolve_tell_socket(int fd, int protocol, sink_own_socket_fn *own_socket, void *arg);

#endif
