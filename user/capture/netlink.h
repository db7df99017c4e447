/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Questions to the kernel over one netlink socket, of which the answer is a list (a dump). A dump
 * is always read to its end, also when the caller wants no more of it, so that the socket can be
 * asked again; what is left of one that took too long is recognised by its number. The caller owns
 * the descriptor. One thread.
 */
#ifndef CAPTURE_NETLINK_H
#define CAPTURE_NETLINK_H

#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;
struct rtattr;

struct netlink {
	int fd;            /* a socket of NETLINK_ROUTE or NETLINK_SOCK_DIAG; -1: none */
	uint32_t sequence; /* of the last question */
};

/* Takes one message of the answer; not 0 ends the dump with that error. */
typedef int netlink_fn(void *arg, const struct nlmsghdr *message);

/*
 * Asks with this body and hands on each message of the answer. 0 or -errno; -EINTR: what it tells
 * of changed under way, ask again.
 */
int netlink_dump(struct netlink *netlink, uint16_t type, const void *body, size_t body_len,
	netlink_fn *fn, void *arg);

/* Runs attempt again while it says -EINTR, some times. */
int netlink_repeat(int (*attempt)(void *arg), void *arg);

/* What follows the fixed body of a message, as attributes by type; unknown types are left out. */
void netlink_attributes(
	const struct nlmsghdr *message, size_t body_len, const struct rtattr **ret, unsigned count);

#endif
