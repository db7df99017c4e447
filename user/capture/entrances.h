/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small programs in front of the capture program, one for each slot: each writes its number where
 * the capture program looks for it (skb->cb[0], which the kernel zeroes before every run) and goes
 * on there. They tell the network namespaces apart, in which interface indexes repeat, and are all
 * made at the start, because bpf() is refused later.
 *
 * A copy of the capture program for each slot would do the same: 255 of them took 1.5 s and 2 MiB
 * of the kernel's memory on a 2-core machine, these 24 ms and 1 MiB. A packet pays one direct jump,
 * some 5 ns.
 */
#ifndef CAPTURE_ENTRANCES_H
#define CAPTURE_ENTRANCES_H

#include <stddef.h>
#include <stdint.h>

struct entrances;

/* Slots 1 to count in front of that program. 0 or -errno. */
int entrances_new(int program_fd, size_t count, struct entrances **ret);
void entrances_free(struct entrances *entrances);

/* The descriptor of a slot's program, or -EINVAL. */
int entrances_program(const struct entrances *entrances, uint16_t slot);

#endif
