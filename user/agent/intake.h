/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first half of the pipeline: from captured packets to the bytes of DNS messages.
 *
 *   packet -> copy? -> datagram, or fragments -> datagram, or segments -> stream -> message
 *
 * It owns the rooms of wire/ that remember something: duplicates, fragments, streams. Messages
 * are handed to the owner's functions in the order in which they became whole. One thread.
 */
#ifndef AGENT_INTAKE_H
#define AGENT_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/flow.h"
#include "base/ledger.h"
#include "capture/captured.h"
#include "wire/fragments.h"
#include "wire/streams.h"

/* One message: have bytes of len are here. time is that of the packet that completed it. */
struct intake_message {
	struct flow flow;
	uint64_t time;
	const uint8_t *bytes;
	uint32_t have, len;
	struct origin origin; /* of that packet */
};

struct intake_output {
	void (*message)(void *arg, const struct intake_message *message);
	void (*connection_end)(void *arg, const struct flow *flow);
	void *arg;
};

struct intake_options {
	const uint16_t *ports;
	size_t port_count;
	bool replay; /* the packets were not selected by the BPF program */
	size_t max_streams, stream_memory;
	struct ledger *ledger;
	struct intake_output output;
};

struct intake;

/* NULL without memory. */
struct intake *intake_new(const struct intake_options *options);
void intake_free(struct intake *intake);

/*
 * Whether one packet may be seen at several taps at all, and the index of the loopback interface,
 * whose packets never are (0: not watched). Until told, no copies are looked for.
 */
void intake_expect_copies(struct intake *intake, bool possible, uint32_t loopback);

/* From now on these ports. */
void intake_set_ports(struct intake *intake, const uint16_t *ports, size_t count);

void intake_packet(struct intake *intake, const struct captured *packet);

void intake_expire(struct intake *intake, uint64_t now);
uint64_t intake_next_expiry(const struct intake *intake);
/* At exit: nothing is held afterwards. */
void intake_drain(struct intake *intake);

const struct fragments_counts *intake_fragments(const struct intake *intake);
const struct streams_counts *intake_streams(const struct intake *intake);

/* How full the rooms are now, and the bytes that they have allocated. */
struct intake_levels {
	uint64_t fragments, streams, streams_bytes; /* held */
	size_t fragments_memory, streams_memory;
};

void intake_read_levels(const struct intake *intake, struct intake_levels *ret);

#endif
