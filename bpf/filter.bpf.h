/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the operator asked for, as far as the kernel's side can tell it: ports, client and server
 * networks, sampling. User space decides again and is the authority (user/agent/filter.h): nothing
 * is dropped here that it would keep. Only BPF programs include this.
 *
 * Networks: the QR bit is not read, so a packet passes if either of its ends may be the client and
 * the other the server. Fragments and TCP carry addresses as others do. Sampling: whole UDP
 * datagrams only; a super-packet holds several ids, and where a TCP segment has its messages'
 * is for user space to find.
 *
 * Bounds: at most four look-ups in tries of RECORD_NETWORKS_MAX prefixes, and one hash.
 */
#ifndef BPF_FILTER_BPF_H
#define BPF_FILTER_BPF_H

#include "parse.bpf.h"
#include "record.h"
#include "sample.h"

/* Set by the loader before loading; what is false costs nothing, the verifier takes it out. */
const volatile bool filter_clients, filter_servers, filter_sample;
const volatile __u64 sample_key[SAMPLE_KEY_WORDS];

/* What a reload may change at any time, without bpf(): user space has it mapped. */
struct {
	volatile __u64 watched[RECORD_PORT_WORDS]; /* a bit a port */
	volatile __u32 sample;                     /* 1 in so many; 0 is taken as 1 */
	volatile __u8 networks_off; /* the tries do not hold what is asked for any more */
	volatile __u8 clamp_off;    /* a sink has come that wants bytes */
} settings SEC(".data.settings");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, RECORD_NETWORKS_MAX);
	__type(key, struct record_network);
	__type(value, __u8);
} client_networks SEC(".maps"), server_networks SEC(".maps");

/* Both ends of a packet as the tries and the hash want them. */
struct ends {
	struct record_network src, dst;
};

static __always_inline bool is_watched(__u16 port)
{
	return settings.watched[port / 64] >> (port % 64) & 1;
}

static __always_inline bool load_ends(
	struct __sk_buff *skb, __u32 offset, __u16 ethertype, struct ends *ends)
{
	__u8 addresses[32];

	__builtin_memset(ends, 0, sizeof(*ends));
	ends->src.len = ends->dst.len = RECORD_NETWORK_FAMILY_BITS + 128;
	ends->src.ethertype = ends->dst.ethertype = ethertype;
	if (ethertype == ETH_P_IP) {
		if (bpf_skb_load_bytes(skb, offset + 12, addresses, 8))
			return false;
		__builtin_memcpy(ends->src.address, addresses, 4);
		__builtin_memcpy(ends->dst.address, addresses + 4, 4);
		return true;
	}
	if (bpf_skb_load_bytes(skb, offset + 8, addresses, 32))
		return false;
	__builtin_memcpy(ends->src.address, addresses, 16);
	__builtin_memcpy(ends->dst.address, addresses + 16, 16);
	return true;
}

static __always_inline bool may_be_client(const struct record_network *end)
{
	return !filter_clients || bpf_map_lookup_elem(&client_networks, end);
}

static __always_inline bool may_be_server(const struct record_network *end)
{
	return !filter_servers || bpf_map_lookup_elem(&server_networks, end);
}

static __always_inline bool networks_pass(const struct ends *ends)
{
	if ((!filter_clients && !filter_servers) || settings.networks_off)
		return true;
	return (may_be_client(&ends->src) && may_be_server(&ends->dst)) ||
	       (may_be_client(&ends->dst) && may_be_server(&ends->src));
}

static __always_inline struct sample_end sample_end_of(const struct record_network *end, __u16 port)
{
	struct sample_end e = {.port = port};

	__builtin_memcpy(e.address, end->address, sizeof(e.address));
	return e;
}

static __always_inline bool sample_passes(
	struct __sk_buff *skb, const struct headers *h, const struct ends *ends)
{
	__u64 key[SAMPLE_KEY_WORDS] = {sample_key[0], sample_key[1]};
	__u32 n = settings.sample;
	__be16 id;

	if (!filter_sample || n < 2 || h->fragment || h->protocol != IPPROTO_UDP || skb->gso_size)
		return true;
	if (bpf_skb_load_bytes(skb, h->l4 + 8, &id, sizeof(id)))
		return true;
	struct sample_end src = sample_end_of(&ends->src, h->src_port);
	struct sample_end dst = sample_end_of(&ends->dst, h->dst_port);

	return sample_takes(key, n, &src, &dst, bpf_ntohs(id));
}

/* Whether user space may want this packet, whose IP header stands at offset. */
static __always_inline bool filter_passes(
	struct __sk_buff *skb, const struct headers *h, __u32 offset, __u16 ethertype)
{
	struct ends ends;

	if (!load_ends(skb, offset, ethertype, &ends))
		return true;
	return networks_pass(&ends) && sample_passes(skb, h, &ends);
}

#endif
