/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which exchanges a sample of 1 in N takes: one keyed hash, worked out by the BPF program and again
 * by user space, so both must see the same header. It covers the two ends, in either order, and
 * the DNS id: a query, its retries and its response agree. Of the hash's upper 32 bits those below
 * 2^32 / N are taken: uniform to one in 2^32, no division, and a sample of 1 in 2N is part of that
 * of 1 in N under the same key.
 *
 * The key is drawn at random by each tap, so that nobody can tell from outside what is taken.
 */
#ifndef BPF_SAMPLE_H
#define BPF_SAMPLE_H

#include <linux/types.h>

enum { SAMPLE_KEY_WORDS = 2 };

/* One end; an IPv4 address stands in the first 4 of the 16 bytes, zeros behind it. */
struct sample_end {
	__u64 address[2]; /* as it lies in memory */
	__u16 port;       /* host byte order */
};

/* The finaliser of SplitMix64 (Steele, Lea and Flood; Stafford's variant 13): a bijection. */
static inline __attribute__((always_inline)) __u64 sample_mix(__u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static inline __attribute__((always_inline)) __u64 sample_end_hash(
	const __u64 key[SAMPLE_KEY_WORDS], const struct sample_end *end)
{
	__u64 x = sample_mix(key[0] + end->address[0]);

	return sample_mix(sample_mix(x + end->address[1]) ^ end->port);
}

/* n: 1 to 2^32 - 1. */
static inline __attribute__((always_inline)) int sample_takes(const __u64 key[SAMPLE_KEY_WORDS],
	__u32 n, const struct sample_end *a, const struct sample_end *b, __u16 id)
{
	__u64 ends = sample_end_hash(key, a) + sample_end_hash(key, b);
	__u64 hash = sample_mix(ends + (key[1] ^ id));

	return !((hash >> 32) * n >> 32);
}

#endif
