/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the first byte after the link layer to the payload of UDP or TCP: VLAN tags that stand
 * inline, IPv4 with options, IPv6 with hop-by-hop, routing, destination, fragment and AH headers
 * in any order, UDP, TCP. Pure: the result points into the caller's bytes.
 *
 * Lengths: `have` bytes of the packet are here, `wire` were on the wire; what the IP and UDP
 * headers leave over is padding and cut off. A length of 0 in IP or UDP means "all there is" where
 * `gso_size` is set (BIG TCP) or where all is more than 16 bits can say (a jumbogram, RFC 2675).
 * Checksums are never validated: a tap sees packets before the network card has filled them in.
 *
 * Tags: Linux may name a tag in the ethertype while the IP header stands at the first byte (a frame
 * sent with its tag inline), or may have taken off the outer tag and left the inner one. So under
 * a tag's ethertype the first byte is an IP header if version, header length and total length fit,
 * else a tag's TCI. The kernel's side (bpf/parse.bpf.h) has the same rule and the same bounds.
 *
 * Extension headers are stepped over in any order: hop-by-hop, routing, destination, mobility,
 * HIP, shim6 (IPv6) and AH (both families). A fragment header with offset 0 and nothing behind it
 * is stepped over too: that packet is whole (RFC 6946).
 */
#ifndef WIRE_PACKET_H
#define WIRE_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/flow.h"

enum packet_kind { PACKET_DATAGRAM, PACKET_SEGMENT, PACKET_FRAGMENT };

enum packet_result {
	PACKET_OK,
	PACKET_TRUNCATED, /* headers go on behind the bytes at hand */
	PACKET_MALFORMED, /* a length or version contradicts the rest */
	PACKET_OTHER,     /* not IP, neither UDP nor TCP, or more headers than the bounds below */
};

enum {
	PACKET_TAGS_MAX = 2,
	PACKET_EXTENSIONS_MAX = 8, /* no real packet has more than four or five */
};

enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_ACK = 0x10 };

/* Where the bytes came from; what the link layer or the kernel said of them. */
struct packet_source {
	uint32_t have, wire;  /* bytes here, bytes on the wire, from the first byte on */
	uint16_t ethertype;   /* of the first byte; host byte order: 0x0800, 0x86dd, a tag's */
	uint16_t gso_size;    /* payload bytes of each datagram of a super-packet; 0: none */
};

struct packet {
	enum packet_kind kind;
	struct flow flow;        /* ports and protocol 0 in a fragment */
	const uint8_t *payload;  /* of UDP or TCP; what stands behind the fragment's headers */
	uint32_t payload_have;   /* bytes of it here */
	uint32_t payload_len;    /* bytes of it on the wire */
	uint16_t gso_size;       /* as in the source, UDP and TCP alike */

	uint32_t seq, ack;       /* PACKET_SEGMENT */
	uint8_t tcp_flags;

	uint32_t fragment_id;    /* PACKET_FRAGMENT: IPv4 16 bits, IPv6 32 bits */
	uint16_t fragment_offset;/* bytes */
	bool fragment_more;
	uint8_t fragment_next;   /* the protocol number of the reassembled payload's first header */

	uint16_t tags[PACKET_TAGS_MAX]; /* VLAN ids that stood inline, outermost first */
	uint8_t tag_count;
};

/* ret is whole only with PACKET_OK. Of have, no more than wire is looked at. */
enum packet_result packet_parse(
	const uint8_t *bytes, const struct packet_source *source, struct packet *ret);

/*
 * What a reassembled datagram holds: next is the first fragment's fragment_next, bytes the whole
 * payload put together. ret comes as one of its fragments was parsed, keeps addresses, family
 * and tags, and gets kind, ports, protocol and payload. A fragment inside is PACKET_MALFORMED.
 */
enum packet_result packet_parse_payload(
	uint8_t next, const uint8_t *bytes, uint32_t len, struct packet *ret);

#endif
