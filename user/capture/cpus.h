/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which CPUs run, from the kernel's list of them. The perf ring has a buffer for each that ran when
 * it was opened; for one that is brought up later there is none, and making one needs bpf().
 */
#ifndef CAPTURE_CPUS_H
#define CAPTURE_CPUS_H

#include <stdbool.h>
#include <stddef.h>

/* "0-3,5": sets online[i] for each CPU below count that is in the list, clears the others. 0 or
 * -EINVAL. */
int cpus_parse(const char *list, bool *online, size_t count);
/* The same of those that run now. 0 or -errno. */
int cpus_online(bool *online, size_t count);

#endif
