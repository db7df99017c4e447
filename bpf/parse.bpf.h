/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From offset 0 to the ports: inline tags, IPv4, IPv6 with its extension headers, UDP, TCP. Only
 * BPF programs include this. One bpf_skb_load_bytes reads an IP header and the ports behind it:
 * each helper call costs, bytes hardly do.
 */
#ifndef BPF_PARSE_BPF_H
#define BPF_PARSE_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
	TAGS_MAX = 2,
	TAG_READ = 0x10000, /* beside 16 bits of tag */
	EXTENSIONS_MAX = 8,
	TCP_FIN_SYN_RST = 0x07,
	IPV4_MORE_FRAGMENTS = 0x2000,
	IPV4_FRAGMENT_OFFSET = 0x1fff,
	IPV6_MORE_FRAGMENTS = 0x0001,
	IPV6_FRAGMENT_OFFSET = 0xfff8,
};

struct ipv4_start {
	__u8 version_ihl, tos;
	__be16 total_len, id, fragment;
	__u8 ttl, protocol;
	__be16 checksum;
	__u8 src[4], dst[4];
	__be16 src_port, dst_port; /* where the header has no options */
};

struct ipv6_start {
	__be32 version_class_flow;
	__be16 payload_len;
	__u8 next, hop_limit;
	__u8 src[16], dst[16];
	__be16 src_port, dst_port; /* where no extension header follows */
};

struct fragment_key {
	__u8 src[16], dst[16];
	__u32 id;
	__u32 protocol; /* IPv4 only (RFC 791); IPv6 identifies without it */
};

struct headers {
	__u32 l4;        /* offset of the UDP or TCP header */
	__u32 end;       /* offset behind the IP payload; 0: unknown (BIG TCP) */
	__u16 src_port, dst_port;
	__u8 protocol;   /* the last next-header value read */
	bool fragment;   /* more fragments follow, or the offset is not 0 */
	bool has_ports;
	struct fragment_key key; /* filled for fragments only */
};

static __always_inline bool is_tag(__u16 ethertype)
{
	return ethertype == ETH_P_8021Q || ethertype == ETH_P_8021AD;
}

/*
 * The innermost of the tags that a sender has put between the link layer's addresses and offset 0,
 * with TAG_READ; 0 where there is none to be read.
 */
static __always_inline __u32 passed_tag(struct __sk_buff *skb)
{
	__u32 found = 0;

	for (int i = 0; i < TAGS_MAX; i++) {
		__be16 tag[2];

		if (bpf_skb_load_bytes_relative(
			    skb, ETH_HLEN + 4 * i, tag, sizeof(tag), BPF_HDR_START_MAC))
			break;
		found = TAG_READ | bpf_ntohs(tag[0]);
		if (!is_tag(bpf_ntohs(tag[1])))
			break;
	}
	return found;
}

/* Steps over tags that stand at offset 0. False where what follows is not IP. */
static __always_inline bool skip_tags(struct __sk_buff *skb, __u32 *offset, __u16 *ethertype)
{
	*ethertype = bpf_ntohs(skb->protocol);
	*offset = 0;
	if (*ethertype == ETH_P_IP || *ethertype == ETH_P_IPV6)
		return true;
	if (!is_tag(*ethertype))
		return false;
	/*
	 * A frame sent with an inline tag has its network offset behind the tag while the protocol
	 * still names the tag, so the IP header may be here already.
	 */
	struct ipv4_start start;

	if (bpf_skb_load_bytes(skb, 0, &start, 20))
		return false;
	if (start.version_ihl >> 4 == 4 && (start.version_ihl & 15) >= 5 &&
		bpf_ntohs(start.total_len) >= 20 && bpf_ntohs(start.total_len) <= skb->len) {
		*ethertype = ETH_P_IP;
		return true;
	}
	/* The id of IPv4 stands where IPv6 has its payload length. */
	if (start.version_ihl >> 4 == 6 && bpf_ntohs(start.id) + 40 <= skb->len) {
		*ethertype = ETH_P_IPV6;
		return true;
	}
	for (int i = 0; i < TAGS_MAX; i++) {
		__be16 tag[2];

		if (bpf_skb_load_bytes(skb, *offset, tag, sizeof(tag)))
			return false;
		*offset += sizeof(tag);
		*ethertype = bpf_ntohs(tag[1]);
		if (*ethertype == ETH_P_IP || *ethertype == ETH_P_IPV6)
			return true;
		if (!is_tag(*ethertype))
			return false;
	}
	return false;
}

static __always_inline void set_ports(struct headers *h, __be16 src, __be16 dst)
{
	h->src_port = bpf_ntohs(src);
	h->dst_port = bpf_ntohs(dst);
	h->has_ports = true;
}

static __always_inline void load_ports(struct __sk_buff *skb, struct headers *h)
{
	__be16 ports[2];

	if (h->protocol != IPPROTO_UDP && h->protocol != IPPROTO_TCP)
		return;
	if (!bpf_skb_load_bytes(skb, h->l4, ports, sizeof(ports)))
		set_ports(h, ports[0], ports[1]);
}

static __always_inline bool parse_ipv4(struct __sk_buff *skb, __u32 offset, struct headers *h)
{
	struct ipv4_start ip;
	__u16 fragment, total;
	bool whole = !bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip));

	/* The last fragment of a datagram may hold fewer bytes than two ports take. */
	if (!whole && bpf_skb_load_bytes(skb, offset, &ip, 20))
		return false;
	h->protocol = ip.protocol;
	if (h->protocol != IPPROTO_UDP && h->protocol != IPPROTO_TCP)
		return false;
	fragment = bpf_ntohs(ip.fragment);
	total = bpf_ntohs(ip.total_len);
	h->l4 = offset + (ip.version_ihl & 15) * 4;
	h->end = total ? offset + total : 0;
	h->fragment = fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET);
	if (h->fragment) {
		__builtin_memcpy(h->key.src, ip.src, 4);
		__builtin_memcpy(h->key.dst, ip.dst, 4);
		h->key.id = ip.id;
		h->key.protocol = ip.protocol;
		if (fragment & IPV4_FRAGMENT_OFFSET)
			return true;
	}
	if (whole && (ip.version_ihl & 15) == 5)
		set_ports(h, ip.src_port, ip.dst_port);
	else
		load_ports(skb, h);
	return h->has_ports || h->fragment;
}

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
		next == IPPROTO_FRAGMENT || next == IPPROTO_AH || next == 135 /* mobility */ ||
		next == 139 /* HIP */ || next == 140 /* shim6 */;
}

static __always_inline bool parse_ipv6(struct __sk_buff *skb, __u32 offset, struct headers *h)
{
	struct ipv6_start ip;
	bool whole = !bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip));

	if (!whole && bpf_skb_load_bytes(skb, offset, &ip, 40))
		return false;
	h->protocol = ip.next;
	h->l4 = offset + 40;
	h->end = ip.payload_len ? h->l4 + bpf_ntohs(ip.payload_len) : 0;
	if (whole && (h->protocol == IPPROTO_UDP || h->protocol == IPPROTO_TCP)) {
		set_ports(h, ip.src_port, ip.dst_port);
		return true;
	}
	for (int i = 0; i < EXTENSIONS_MAX && is_extension(h->protocol); i++) {
		struct {
			__u8 next, len;
			__be16 fragment;
			__u32 id;
		} e;

		if (bpf_skb_load_bytes(skb, h->l4, &e, sizeof(e)))
			return false;
		if (h->protocol == IPPROTO_FRAGMENT) {
			__u16 fragment = bpf_ntohs(e.fragment);

			h->l4 += 8;
			if (fragment & (IPV6_FRAGMENT_OFFSET | IPV6_MORE_FRAGMENTS)) {
				h->fragment = true;
				__builtin_memcpy(h->key.src, ip.src, 16);
				__builtin_memcpy(h->key.dst, ip.dst, 16);
				h->key.id = e.id;
			}
			if (fragment & IPV6_FRAGMENT_OFFSET) {
				h->protocol = e.next;
				return true;
			}
		} else if (h->protocol == IPPROTO_AH) {
			h->l4 += (e.len + 2) * 4;
		} else {
			h->l4 += (e.len + 1) * 8;
		}
		h->protocol = e.next;
	}
	load_ports(skb, h);
	return h->has_ports || h->fragment;
}

/* True for what may be DNS: ports are known, or it is a fragment. offset: of the IP header. */
static __always_inline bool parse_headers(
	struct __sk_buff *skb, struct headers *h, __u32 *offset, __u16 *ethertype)
{
	if (!skip_tags(skb, offset, ethertype))
		return false;
	return *ethertype == ETH_P_IP ? parse_ipv4(skb, *offset, h) : parse_ipv6(skb, *offset, h);
}

#endif
