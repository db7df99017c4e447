/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From records to packets: checks a record and joins the parts of a packet that was too long for
 * one. A packet of one record, nearly all of them, is handed on in place. Parts of one packet
 * share its time stamp and come in order; parts of packets from other CPUs may stand between
 * them, so a few packets can be in the making at once, each in memory taken when it is first
 * needed. A packet whose later parts found no room in the ring is dropped when its place is
 * wanted: the kernel has counted it as ring_full. Owned by the rings.
 */
#ifndef CAPTURE_ASSEMBLY_H
#define CAPTURE_ASSEMBLY_H

#include <stddef.h>
#include <stdint.h>

#include "capture/captured.h"

enum { ASSEMBLY_JOINTS = 64 };

struct joint {
	uint8_t *bytes;         /* room for the longest packet; NULL until needed */
	uint32_t have;          /* bytes so far; 0: free */
	struct captured packet; /* as its first record describes it */
};

struct assembly {
	struct joint joints[ASSEMBLY_JOINTS];
	uint64_t broken; /* records whose version or sizes do not fit, or without memory */
};

void assembly_done(struct assembly *assembly);

/* Takes one record as it stands in a ring; 1 when a packet was handed to fn, else 0. */
size_t assembly_take(
	struct assembly *assembly, const void *data, size_t size, captured_fn *fn, void *arg);

/* The time stamp of a record, without taking it; 0 when it is too short to have one. */
uint64_t assembly_peek_time(const void *data, size_t size);

#endif
