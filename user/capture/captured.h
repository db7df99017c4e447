/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One packet as any source of capture hands it on: the rings of the live tap, or a capture file.
 * The bytes belong to the source and are valid until it is asked for the next packet.
 */
#ifndef CAPTURE_CAPTURED_H
#define CAPTURE_CAPTURED_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/packet.h"

struct captured {
	uint64_t time;        /* ns: CLOCK_MONOTONIC live, wall time in a replay */
	const uint8_t *bytes; /* source.have of them, from behind the link layer on */
	struct packet_source source;
	uint32_t ifindex; /* 0 in a replay */
	uint16_t tap;     /* which namespace */
	uint16_t vlan;    /* VLAN id from the metadata; 0: none */
	bool outgoing;    /* sent by this host */
};

typedef void captured_fn(void *arg, const struct captured *packet);

#endif
