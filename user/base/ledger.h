/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ledger: one list of every count the tap keeps, so that what came in equals what went out
 * plus what was given up, reason by reason. These equations hold whenever the pipeline is between
 * two records, with what is in flight taken from the rooms that hold it, and with nothing in
 * flight at exit:
 *
 *   matched      = recorded + ring_full + ring_broken                (the kernel's side)
 *   recorded     = datagrams + segments + fragments + packet reasons (records; minus splitting)
 *   datagrams + datagrams_split + reassembled + stream_messages = messages + message reasons
 *   messages     = frames + frame reasons
 *
 * and for each sink, whose counts live in the sink:
 *
 *   frames       = confirmed + unconfirmed + sink reasons
 *
 * A ledger is written by one thread, the pipeline's. Reading it from another gives numbers that
 * are each right but not of one moment.
 */
#ifndef BASE_LEDGER_H
#define BASE_LEDGER_H

#include <stdint.h>

/* X(name, kind, text): the text says to a person what the number counts. */
#define LEDGER_LIST(X)                                                                             \
	X(matched, TOTAL, "packets on the watched ports, as the kernel saw them")                  \
	X(recorded, TOTAL, "packets that reached user space")                                      \
	X(ring_broken, KERNEL_REASON, "lost: records that did not fit together")                   \
	X(ring_full, KERNEL_REASON, "lost: the ring was full")                                     \
	X(datagrams, PACKET_OUT, "whole UDP datagrams")                                            \
	X(segments, PACKET_OUT, "TCP segments")                                                    \
	X(fragments, PACKET_OUT, "IP fragments")                                                   \
	X(packet_truncated, PACKET_REASON, "packets shorter than their headers say")               \
	X(packet_malformed, PACKET_REASON, "packets whose headers contradict themselves")          \
	X(packet_other, PACKET_REASON, "packets that are neither UDP nor TCP on a watched port")   \
	X(duplicates, PACKET_REASON, "copies of a packet seen on another interface")               \
	X(datagrams_split, MESSAGE_IN, "further datagrams split from super-packets")               \
	X(reassembled, MESSAGE_IN, "datagrams put together from fragments")                        \
	X(stream_messages, MESSAGE_IN, "messages taken from TCP streams")                          \
	X(reassembled_malformed, MESSAGE_REASON,                                                   \
		"of the datagrams put together: without whole UDP or TCP headers")                 \
	X(reassembled_foreign, MESSAGE_REASON, "of the datagrams put together: on other ports")    \
	X(reassembled_segments, MESSAGE_REASON, "of the datagrams put together: TCP segments")     \
	X(messages, TOTAL, "DNS messages")                                                         \
	X(dns_short, MESSAGE_REASON, "payloads shorter than a DNS header")                         \
	X(dns_truncated, MESSAGE_REASON, "messages that the capture cut short")                    \
	X(dns_malformed, MESSAGE_REASON, "payloads that are not a DNS message")                    \
	X(frames, TOTAL, "dnstap messages")                                                        \
	X(transit, FRAME_REASON, "messages between two hosts that are not this one (--transit)")   \
	X(multicast, FRAME_REASON, "messages to a multicast or broadcast address")                 \
	X(own, FRAME_REASON, "messages of the tap's own name look-ups")                            \
	X(filtered_network, FRAME_REASON, "not asked for: --client-net, --server-net")             \
	X(filtered_sample, FRAME_REASON, "not asked for: outside the sample (--sample)")           \
	X(filtered_name, FRAME_REASON, "not asked for: other names (--name)")                      \
	X(filtered_type, FRAME_REASON, "not asked for: other types (--type)")                      \
	X(filtered_rcode, FRAME_REASON, "not asked for: other response codes (--rcode)")           \
	X(frame_oversize, FRAME_REASON, "messages larger than a collector accepts")                \
	X(queries, NOTE, "queries among the DNS messages followed")                                \
	X(responses, NOTE, "responses among them")                                                 \
	X(responses_matched, NOTE, "responses that found their query")                             \
	X(responses_unmatched, NOTE,                                                               \
		"responses without a query: late, unsolicited, or query unseen")                   \
	X(queries_answered, NOTE, "queries answered")                                              \
	X(queries_unanswered, NOTE, "queries not answered in time")                                \
	X(queries_retried, NOTE, "queries repeated by the client and answered once")               \
	X(queries_evicted, NOTE, "queries given up for a newer one (--max-queries)")               \
	X(query_copies_lost, NOTE,                                                                 \
		"responses without their query's bytes: overwritten by newer ones")                \
	X(fragments_refused, NOTE,                                                                 \
		"later fragments of unknown datagrams that the kernel's side left out")            \
	X(empty_segments, NOTE, "TCP acknowledgements without data that it left out")              \
	X(filtered_kernel, NOTE, "packets not asked for that it left out")                         \
	X(responses_held, NOTE, "responses held until their query was read")

struct ledger {
#define LEDGER_FIELD(name, kind, text) uint64_t name;
	LEDGER_LIST(LEDGER_FIELD)
#undef LEDGER_FIELD
};

#endif
