/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPv4 and IPv6 fragments, in any order, into whole datagrams. A datagram is known by its
 * addresses, family and fragment id, in IPv4 by the protocol too (RFC 791, 3.2; in IPv6 the next
 * header does not count, RFC 8200, 4.5).
 *
 * Algorithm. The bytes are kept at their offset in pages (wire/fragment_pages.h); a datagram is
 * whole when the bytes held are as many as its last fragment says. A fragment costs by its length
 * however the datagram is cut: three or four table look-ups and two copies.
 *
 * What ends a datagram before it is whole:
 * - Overlap: any byte covered twice (RFC 5722; here IPv4 too: whose bytes the server believes
 *   cannot be known). An exact copy of one fragment, same offset, length and bytes, is harmless
 *   and only counted (RFC 8200, 4.5): networks and taps repeat packets.
 * - Malformed: an empty fragment; one that is not the last and no multiple of 8 long; an end over
 *   65,535; last fragments that disagree on the end, or bytes behind it.
 * - Truncated: the capture does not hold all of a fragment's bytes.
 * All fragments of such a datagram are counted under the reason, and its key is remembered for
 * 30 s: what still comes is not taken for a new datagram, as the rest of a contested one and what
 * an attacker adds to it could make a message nobody sent. Timed-out and evicted datagrams are not
 * remembered: a flood would push out the memory of the contested ones, and their rest, lacking a
 * fragment, ends by itself. Neither are completed ones: ids are soon used again.
 *
 * Floods. Only a first fragment has ports. The kernel passes first fragments of watched ports and
 * what follows them, but also, by a token bucket, later ones of datagrams it does not know. Hence:
 * - A datagram is *claimed* once its first fragment is here, then lives 30 s; until then it is
 *   *unclaimed* and lives 2 s (fragments change places within milliseconds).
 * - Unclaimed datagrams have a quarter of the entries and pages for themselves and never more:
 *   later fragments alone, however many, push out no claimed datagram, nor claimed ones them.
 * - Each share, when full, gives up its oldest. The fragments of a datagram are sent back to back:
 *   what is oldest is most likely dead, and a datagram is only lost if as many others as the share
 *   holds begin between its first and last fragment (768 within, say, 1 ms, by default). A later
 *   fragment makes nothing younger: trickling does not keep a datagram alive.
 * - The remembered keys are bounded too; the oldest is forgotten first.
 * Unavoidable: who guesses addresses and id can end that datagram, here as at its receiver.
 *
 * Equation, after each call:
 *
 *   fragments = fragments_reassembled + each FRAGMENT_REASON + fragments_held()
 *
 * Bounds: max_datagrams entries, memory bytes of pages; all is taken by fragments_new, and memory
 * never used is never touched. Pure: now is the monotonic time of the packet in ns. Where it goes
 * back by at most 30 s, time stands still; further back is a jump and ends all that is held. One
 * thread.
 */
#ifndef WIRE_FRAGMENTS_H
#define WIRE_FRAGMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "wire/packet.h"

enum {
	FRAGMENTS_MAX_DATAGRAMS_MIN = 16,
	FRAGMENTS_MAX_DATAGRAMS_DEFAULT = 1024,
	FRAGMENTS_MAX_DATAGRAMS_MAX = 65536,
	/* A quarter must hold the largest datagram. */
	FRAGMENTS_MEMORY_MIN = 512 << 10,
	FRAGMENTS_MEMORY_DEFAULT = 4 << 20,
	FRAGMENTS_MEMORY_MAX = 1 << 30,
	FRAGMENTS_TIMEOUT = 30,          /* seconds, RFC 8200 allows up to 60 */
	FRAGMENTS_TIMEOUT_UNCLAIMED = 2, /* seconds */
	FRAGMENTS_PAYLOAD_MAX = 65535,   /* bytes */
};

/* X(name, kind, text), as in the ledger. */
#define FRAGMENTS_LIST(X)                                                                          \
	X(fragments, TOTAL, "IP fragments")                                                        \
	X(fragments_reassembled, FRAGMENT_OUT, "fragments of datagrams that became whole")         \
	X(fragments_overlap, FRAGMENT_REASON, "fragments of datagrams with bytes covered twice")   \
	X(fragments_malformed, FRAGMENT_REASON, "fragments of datagrams with impossible lengths")  \
	X(fragments_truncated, FRAGMENT_REASON,                                                    \
		"fragments of datagrams that the capture cut short")                               \
	X(fragments_duplicate, FRAGMENT_REASON, "exact copies of a fragment, harmless")            \
	X(fragments_timed_out, FRAGMENT_REASON, "fragments of datagrams not whole in time")        \
	X(fragments_evicted, FRAGMENT_REASON, "fragments given up for newer ones")                 \
	X(fragments_unclaimed, FRAGMENT_REASON,                                                    \
		"fragments whose first one never came: mostly of foreign ports")                   \
	X(fragments_unclaimed_evicted, FRAGMENT_REASON,                                            \
		"fragments given up for newer ones before their first one came")                   \
	X(fragments_of_discarded, FRAGMENT_REASON, "later fragments of discarded datagrams")       \
	X(fragments_drained, FRAGMENT_REASON, "fragments of datagrams not whole at exit")          \
	X(reassembled, MESSAGE_IN, "datagrams put together from fragments")

struct fragments_counts {
#define FRAGMENTS_FIELD(name, kind, text) uint64_t name;
	FRAGMENTS_LIST(FRAGMENTS_FIELD)
#undef FRAGMENTS_FIELD
};

enum fragments_result {
	FRAGMENTS_HELD,
	FRAGMENTS_COMPLETE,
	FRAGMENTS_DISCARDED, /* counted; its datagram is discarded too, unless it was a copy */
};

/* A whole datagram, for packet_parse_payload. */
struct fragments_datagram {
	const uint8_t *bytes; /* valid until the next fragments_add */
	uint32_t len;
	uint8_t next; /* fragment_next of the first fragment */
};

struct fragments;

/* counts outlives the result. NULL without memory or where a bound is out of its own. */
struct fragments *fragments_new(
	size_t max_datagrams, size_t memory, struct fragments_counts *counts);
void fragments_free(struct fragments *f);

/* packet is a PACKET_FRAGMENT; its bytes are copied. ret is filled with FRAGMENTS_COMPLETE only. */
enum fragments_result fragments_add(struct fragments *f, const struct packet *packet, uint64_t now,
	struct fragments_datagram *ret);

void fragments_expire(struct fragments *f, uint64_t now);
/* When fragments_expire has something to count next, in monotonic ns; UINT64_MAX: never. */
uint64_t fragments_next_expiry(const struct fragments *f);
/* At exit: all that is held is counted as fragments_drained. */
void fragments_drain(struct fragments *f);

/* Fragments in datagrams that are not whole yet. */
uint64_t fragments_held(const struct fragments *f);
/* Bytes taken in all, touched or not. */
size_t fragments_memory(const struct fragments *f);

#endif
