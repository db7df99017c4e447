/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernel's side hands to user space: the only header both include. A record is this
 * header followed by `have` bytes of the packet from `offset` on; a packet longer than
 * RECORD_BYTES_MAX comes as several records, one right after the other from the same CPU.
 * Host byte order. Offset 0 is the first byte behind the link layer.
 */
#ifndef BPF_RECORD_H
#define BPF_RECORD_H

#include <linux/types.h>

enum {
	RECORD_VERSION = 1,
	/* A perf record's size field has 16 bits and overflows silently (65,488 is the most). */
	RECORD_BYTES_MAX = 65000,
	RECORD_PARTS_MAX = 9, /* BIG TCP coalesces up to 512 KiB */
	RECORD_CLAMP_PAYLOAD = 12 + 255 + 4, /* DNS header, longest name, type and class */
	RECORD_PORT_WORDS = 65536 / 64,
	RECORD_NETWORKS_MAX = 64, /* of one direction */
	RECORD_NETWORK_FAMILY_BITS = 32,
};

/*
 * The array ring: for each possible CPU so many chunks of one BPF array, mapped into user space.
 * A position counts bytes since the start; a record begins at position % LANE_CHUNK of its chunk,
 * at a multiple of LANE_ALIGN, and its end may stand in the chunk's slack, so it never wraps.
 */
enum {
	LANE_CHUNK = 256 * 1024,
	LANE_SLACK = 64 * 1024,
	LANE_ALIGN = 8,
};

/* record.flags: the low three bits are the kernel's packet type (PACKET_HOST ... OUTGOING). */
enum {
	RECORD_PACKET_TYPE = 0x07,
	RECORD_VLAN = 0x08, /* vlan_tci is valid: a tag stood in the metadata */
};

struct record {
	__u64 time;      /* ns, CLOCK_MONOTONIC, at the tap */
	__u32 ifindex;   /* of the interface the tap saw the packet on, in its namespace */
	__u32 wire;      /* bytes of the whole packet from offset 0 on */
	__u32 offset;    /* of this record's first byte; not 0: a continuation */
	__u16 have;      /* bytes that follow */
	__u16 tap;       /* which namespace: interface indexes repeat between them */
	__u16 ethertype; /* of offset 0; a VLAN ethertype where a tag stands inline */
	__u16 vlan_tci;  /* with RECORD_VLAN: priority, DEI and VLAN id */
	__u16 gso_size;  /* payload bytes of each packet of a super-packet; 0: none */
	__u8 flags;
	__u8 version;
};
_Static_assert(sizeof(struct record) == 32, "the record header is part of the ring's format");

/*
 * A network as the key of a longest-prefix-match trie: len counts the family's bits too, so that
 * no prefix of one family ever matches an address of the other. An IPv4 address is followed by 0.
 */
struct record_network {
	__u32 len;       /* RECORD_NETWORK_FAMILY_BITS and those of the prefix */
	__u32 ethertype; /* of the family */
	__u8 address[16];
};
_Static_assert(sizeof(struct record_network) == 24, "a trie's key has no padding");

/*
 * One CPU's own: read, and written where it says so, through mmap. A cache line pair for what the
 * program writes, another for the reader's.
 */
struct kernel_counts {
	__u64 matched;           /* packets on the watched ports, and fragments let through */
	__u64 ring_full;         /* of these: no room in the ring */
	__u64 fragments_refused; /* later fragments of no known datagram, over the rate */
	__u64 empty_segments;    /* TCP acknowledgements without data: nothing to report */
	__u64 filtered;          /* on the watched ports, but not asked for; not part of matched */
	__u64 busy;              /* not 0: a record is being written on this CPU */
	__u64 reserved[9];
	__u64 head; /* of the array ring: the position behind its last record */
	__u64 tail; /* written by the reader: the position up to which there is room again */
	__u64 padding[15];
};
_Static_assert(sizeof(struct kernel_counts) == 256, "one CPU's counts share no cache line");

#endif
