/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closes packet sockets beside the loop: the kernel lets each close wait until no CPU can still be
 * in the socket's filter, some 13 ms, in which the loop would not drain its rings. One thread, made
 * with the first socket, closes in the order of giving; at the end CLOSER_THREADS do, because
 * waits that overlap are served by one grace period.
 *
 * No bound but that of the descriptors themselves. closer_add is for one thread.
 */
#ifndef AGENT_CLOSER_H
#define AGENT_CLOSER_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOSER_THREADS = 16 };

struct closer;

/* NULL without memory. */
struct closer *closer_new(void);
/* Closes what is left, and returns when all is closed. NULL is fine. */
void closer_free(struct closer *closer);

/* The descriptor is the closer's from here on. Returns its number, from 1 on. */
uint64_t closer_add(struct closer *closer, int fd);
/* True when that one and all before it are closed. */
bool closer_done(struct closer *closer, uint64_t number);

#endif
