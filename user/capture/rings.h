/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reading end of the rings that the BPF program fills (bpf/record.h), in place and in order.
 *
 * The array ring (a BPF array that both sides map) and the perf ring buffer are one ring a CPU:
 * rings_drain merges them by time stamp and stops at the first record that is not older than
 * `before`, because another CPU may still be writing an older one; what it leaves stays in the ring
 * for the next drain. The BPF ring is one for all CPUs and needs no merging; there that record is
 * the last that is handed on. Records whose version or sizes do not fit are counted and left out.
 *
 * Of the three the array ring costs the DNS server least (tests/bench): no helper, no lock and no
 * second copy stands between the packet and it. It has no wake-ups at all.
 *
 * libbpf sets the others up; rings_free undoes that. One thread.
 */
#ifndef CAPTURE_RINGS_H
#define CAPTURE_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/captured.h"

enum rings_kind { RINGS_AUTO, RINGS_ARRAY, RINGS_BPF, RINGS_PERF };

enum {
	/* bytes; of each CPU's ring, or of the one BPF ring; a LANE_CHUNK of the array ring */
	RINGS_SIZE_MIN = 256 * 1024,
	RINGS_SIZE_MAX = 1024 * 1024 * 1024,
	/*
	 * Where no size is given: this for each CPU, but all together no more than the total; the
	 * array ring's slack takes a quarter more.
	 */
	RINGS_SIZE_CPU = 8 * 1024 * 1024,
	RINGS_SIZE_TOTAL = 128 * 1024 * 1024,
};

/* For messages. */
const char *rings_name(enum rings_kind kind);

/* The size to take on a machine of so many CPUs: a power of two within the bounds. */
size_t rings_default_size(enum rings_kind kind, int cpus);

struct rings;

/*
 * counts: the mapped counts of all possible CPUs, whose tails are written; they outlive the rings.
 * size, of each CPU's ring, as below. 0 or -errno.
 */
struct kernel_counts;
int rings_new_array(
	int map_fd, size_t size, struct kernel_counts *counts, int cpus, struct rings **ret);
/* size, of each CPU's ring: a power of two, RINGS_SIZE_MIN to RINGS_SIZE_MAX. 0 or -errno. */
int rings_new_perf(int map_fd, size_t size, struct rings **ret);
/* The BPF ring has its map's size. 0 or -errno. */
int rings_new_bpf(int map_fd, struct rings **ret);
void rings_free(struct rings *rings);

/* Adds the descriptors that become readable at a quarter of a full perf ring to an epoll, each
 * with tag as its data. 0 or -errno. */
int rings_watch(struct rings *rings, int epoll_fd, uint64_t tag);

/* Hands on the records stamped before `before` (monotonic ns); returns how many packets. */
size_t rings_drain(struct rings *rings, uint64_t before, captured_fn *fn, void *arg);

/* Of one CPU's ring, by its place among them: nothing waits in it. ret_position: bytes so far. */
bool rings_is_empty(const struct rings *rings, size_t place, uint64_t *ret_position);
/* True when records that were too young wait in a ring. */
bool rings_waiting(const struct rings *rings);
/* Packets that came incomplete or broken; 0 in a right build. */
uint64_t rings_broken(const struct rings *rings);

/* Bytes: of each ring; waiting in the fullest one now; and most of all when a drain began. */
struct rings_level {
	uint64_t size, waiting, peak;
};

/* restart: the peak begins anew. */
void rings_read_level(struct rings *rings, bool restart, struct rings_level *ret);

#endif
