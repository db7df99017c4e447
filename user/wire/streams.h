/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From TCP segments to DNS messages (RFC 7766: two bytes of length, then the message): any
 * segmentation, order, repetition and overlap. Of bytes sent twice the first copy wins.
 *
 * Each connection is one entry with two directions. A direction is in sync when it is certain
 * where the next message begins: from the sequence number in a SYN on, and from each message to
 * the next. In sync, a segment that holds whole messages and meets no other state is emitted in
 * place; all else waits in blocks of one pool: the beginning of a message, and what came after a
 * hole. A hole is given up after STREAMS_HOLE_NS, STREAMS_SKEW_NS after the other end has
 * acknowledged it (the tap lost it then), or when a direction holds too much. A hole inside a
 * message of known length costs that message; any other costs the sync, like a tap that starts
 * inside a connection. Sync is found again where a segment begins with a length and a message
 * whose questions and records end exactly at that length, with more of the same kind or nothing
 * behind it. Bytes before that are held, up to 128 KiB, and searched at each offset: when the
 * stream ends or a segment begins with a message (so others may end there), and when there are
 * 80 and 128 KiB of them, more than a message can have. What is taken then is a row of three
 * messages or more that ends exactly there, or that no other possible message reaches over
 * (wire/stream_search.h). Another hole ends the search, and messages of more than 40 KB are found
 * at the beginning of a segment only. Each byte is searched three times at most, for 2 ns each
 * or, where the bytes are made for that, 15.
 * Better one message more lost than one invented; who sends whole messages inside another one's
 * data, and a lost segment before them, may deceive where one of them begins a segment or where
 * they go on to the very end of that data.
 *
 * A bare SYN makes no entry, only a stub: 80 bytes in a table of their own that say where each
 * direction goes on. Closed, idle and evicted connections leave one behind too, so late
 * repetitions are known for what they are and streams go on in sync. Payload that belongs to no
 * known connection and does not look like the beginning of a message makes no entry either.
 *
 * Forged segments: one that is not the next in order needs a sequence number and an
 * acknowledgement within STREAMS_WINDOW of the known ones; elsewhere STREAMS_STRAYS segments in a
 * row that continue each other are followed. An RST counts only with a sequence number that is
 * the next in order, the end of all that was seen or what the other end acknowledged (RFC 5961).
 * A SYN ends an old connection of its addresses only when data follow it.
 *
 * Bytes. This holds after each call, and after streams_drain nothing is held:
 *
 *   bytes = message_bytes + 2 * messages + bytes_retransmitted + every skipped_ + streams_held()
 *
 * Bounds: connections (the idlest goes), memory for what is held (the idlest that holds some
 * gives it up), for one direction an eighth of it at most STREAMS_AHEAD_MAX and STREAMS_RUNS_MAX
 * pieces, idle time, stubs. Nothing is allocated after streams_new, and memory is touched only
 * as far as it is used. Pure: now is monotonic ns from the packets' own clock; where it goes
 * back, time stands still until it has caught up. One thread.
 */
#ifndef WIRE_STREAMS_H
#define WIRE_STREAMS_H

#include <stddef.h>
#include <stdint.h>

#include "wire/packet.h"

enum {
	STREAMS_MAX_MIN = 1, /* connections */
	STREAMS_MAX_DEFAULT = 4096,
	STREAMS_MAX_MAX = 1 << 20,
	STREAMS_MEMORY_MIN = 1 << 20, /* bytes */
	STREAMS_MEMORY_DEFAULT = 16 << 20,
	STREAMS_MEMORY_MAX = 1 << 30,
	STREAMS_STUBS = 65536,        /* 200,000 SYN/s live on for a third of a second */
	STREAMS_WINDOW = 4 << 20,     /* bytes; receive windows that are common end below */
	STREAMS_STRAYS = 3,           /* segments */
	STREAMS_AHEAD_MAX = 2 << 20,  /* bytes behind a hole, in one direction */
	STREAMS_RUNS_MAX = 256,       /* holes in one direction; each costs a step of a search */
};
#define STREAMS_IDLE_NS (120 * 1000000000ULL) /* servers close earlier; and a stub stays */
#define STREAMS_HOLE_NS (2 * 1000000000ULL)   /* a few retransmission timeouts (RFC 6298: 1 s) */
#define STREAMS_SKEW_NS (10 * 1000000ULL)     /* one drain interval between two CPUs' rings */

/* X(name, kind, text): BYTES_IN = BYTES_OUT + every BYTES_REASON + held; the rest are notes. */
#define STREAMS_COUNTS_LIST(X)                                                                     \
	X(bytes, BYTES_IN, "bytes of TCP payload")                                                 \
	X(message_bytes, BYTES_OUT, "bytes of messages taken from them; 2 more for each message")  \
	X(bytes_retransmitted, BYTES_REASON, "bytes that had been seen before, or were late")      \
	X(skipped_searching, BYTES_REASON, "bytes skipped to find where a message begins")         \
	X(skipped_lost, BYTES_REASON, "bytes of messages of which a segment was lost")             \
	X(skipped_unfinished, BYTES_REASON, "bytes of messages whose connection ended before them")\
	X(skipped_evicted, BYTES_REASON, "bytes given up: --max-streams, --stream-memory")         \
	X(skipped_outside, BYTES_REASON, "bytes outside of what their connection can have sent")   \
	X(messages, NOTE, "messages taken from TCP streams")                                       \
	X(segments_retransmitted, NOTE, "segments that brought nothing new")                       \
	X(holes, NOTE, "places in streams where segments were lost")                               \
	X(bytes_missing, NOTE, "bytes that were lost there")                                       \
	X(resynchronised, NOTE, "times a message's beginning was found inside a stream")           \
	X(evicted, NOTE, "connections given up for a newer one (--max-streams)")                   \
	X(evicted_memory, NOTE, "connections whose held bytes were given up (--stream-memory)")    \
	X(timed_out, NOTE, "connections idle for too long")                                        \
	X(ended, NOTE, "connections seen to end")                                                  \
	X(resets_ignored, NOTE, "RST segments that did not fit their connection")

struct streams_counts {
#define STREAMS_COUNT_FIELD(name, kind, text) uint64_t name;
	STREAMS_COUNTS_LIST(STREAMS_COUNT_FIELD)
#undef STREAMS_COUNT_FIELD
};

/*
 * A whole message without its length, 0 to 65,535 bytes that stay valid during the call. flow is
 * the message's own direction. time is that of the segment that completed it: now of the call,
 * but earlier where it had waited behind a hole that was then given up, or to be found.
 */
typedef void streams_message_fn(
	void *arg, const struct flow *flow, const uint8_t *bytes, uint32_t len, uint64_t time);
/* A connection ended, both directions or by RST, or its addresses were used again. Told once. */
typedef void streams_end_fn(void *arg, const struct flow *flow);

/* Neither function may call streams again. */
struct streams_output {
	streams_message_fn *message;
	streams_end_fn *end;
	void *arg;
};

struct streams;

/* max connections, memory in bytes for what is held. NULL without memory or out of bounds. */
struct streams *streams_new(size_t max, size_t memory, const struct streams_output *output);
void streams_free(struct streams *streams);

/* Takes one packet of kind PACKET_SEGMENT. now: its time. */
void streams_segment(struct streams *streams, const struct packet *packet, uint64_t now);

/* Gives up what waited too long. */
void streams_expire(struct streams *streams, uint64_t now);
/* When streams_expire has something to do next, monotonic ns; UINT64_MAX: never. */
uint64_t streams_next_expiry(const struct streams *streams);
/* At exit: emits what stands whole behind holes and gives up the rest; tells no ends. */
void streams_drain(struct streams *streams);

const struct streams_counts *streams_counts(const struct streams *streams);
/* Bytes of payload held now. */
uint64_t streams_held(const struct streams *streams);
/* Connections with an entry. */
size_t streams_count(const struct streams *streams);
/* Bytes allocated in all, the greatest part of it untouched until it is needed. */
size_t streams_memory(const struct streams *streams);

#endif
