/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which interfaces have AF_XDP sockets: what their owners receive and send passes no tap, because
 * it never becomes a packet of the kernel's. Asked of sock_diag, where the kernel was built to tell
 * (Debian's are not); else only how many there are in the namespace is known. No state.
 */
#ifndef CAPTURE_BYPASS_H
#define CAPTURE_BYPASS_H

#include <stddef.h>

#include "capture/netlink.h"

/*
 * The interfaces' indexes, each once, at most max of them. How many, or -errno; -ENOENT where the
 * kernel has no AF_XDP, or does not list it.
 */
int bypass_list(struct netlink *diag, unsigned *ret, size_t max);

/* What bypass_count reads, of the calling process's namespace: a descriptor or -errno. */
int bypass_open(void);
/* How many AF_XDP sockets there are in that namespace, or -errno. */
int bypass_count(int fd);

#endif
