/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's lists of CPUs, as "0-3,5".
 *
 * What a CPU has of its own is found by its id, so there must be one more of it than the highest
 * id: where ids are left out (hot-pluggable sockets, some virtual machines) that is more than there
 * are CPUs. The perf ring has a buffer for each that ran when
 * it was opened; for one that is brought up later there is none, and making one needs bpf().
 */
#ifndef CAPTURE_CPUS_H
#define CAPTURE_CPUS_H

#include <stdbool.h>
#include <stddef.h>

#define CPUS_ONLINE   "/sys/devices/system/cpu/online"
#define CPUS_POSSIBLE "/sys/devices/system/cpu/possible"

enum { CPUS_MAX = 65536 }; /* more than any kernel's NR_CPUS */

/* Sets listed[i] for each CPU below count that is in the list, clears the others. 0 or -errno. */
int cpus_read(const char *path, bool *listed, size_t count);
/* The highest id in the list and 1, at most CPUS_MAX; or -errno. */
int cpus_bound(const char *path);

#endif
