/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Responses that were read before their query. Records of several CPUs come out of the ring
 * nearly in order, not quite; a response without a query is kept for a short skew, bytes and all,
 * and let go when its query comes or the skew is over. Responses are found by their query's flow
 * and id in a keyed table, so that a flood of responses nobody asked for costs a query nothing;
 * their bytes stand in one block, first in, first out. When either is full the oldest is let go
 * early. Nothing is ever lost here. Pure, one thread.
 *
 * A response may answer a query whose addresses, ports, protocol and id are the same. After each
 * exchanges_query, while exchanges_expects one and held_take_match has one, the owner passes it to
 * exchanges_response; where that says no (an id used again for another question) the response
 * goes on as unmatched. So two responses wait for two copies of a query, and a zone transfer's
 * responses all come out with its one query.
 */
#ifndef EXCHANGE_HELD_H
#define EXCHANGE_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/flow.h"

enum {
	HELD_MEMORY = 1 << 20,   /* bytes: 16 messages of 64 KiB, the largest there are */
	HELD_PER_KEY = 64,       /* of one flow and id: more are let go at once */
	HELD_COUNT_MAX = 4096,   /* responses: 200,000 a second without a query, for 20 ms */
	HELD_SKEW_NS = 20000000, /* 20 ms: two drain intervals */
};

struct held_response {
	struct flow flow;    /* the response's own direction */
	uint64_t time, wall; /* ns, monotonic and wall */
	uint32_t have, len;  /* of the message, as in struct dns */
	uint16_t id;
	struct origin origin;
	const uint8_t *bytes; /* have bytes */
};

struct held;

/* NULL without memory. */
struct held *held_new(void);
void held_free(struct held *held);

/* Copies the response in; false where no room was made, it is larger than all the memory, or
 * HELD_PER_KEY of its key are held: it then goes on as unmatched. */
bool held_add(struct held *held, const struct held_response *response);
/* True when the oldest must be let go before one with `have` bytes fits; false when empty. */
bool held_needs_room(const struct held *held, uint32_t have);

/*
 * Takes out the oldest response, if the skew is over for it at now (UINT64_MAX: any). ret
 * points into held and stays valid until the next held_add.
 */
bool held_take_expired(struct held *held, uint64_t now, struct held_response *ret);
/* Takes out the oldest response that may answer a query of this flow and id; ret as above. */
bool held_take_match(
	struct held *held, const struct flow *query, uint16_t id, struct held_response *ret);

size_t held_count(const struct held *held);
/* Bytes allocated in all. */
size_t held_memory(const struct held *held);
/* When the oldest is due, monotonic ns; UINT64_MAX: none is held. */
uint64_t held_next_expiry(const struct held *held);

#endif
