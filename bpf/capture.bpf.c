// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The socket filter: decide, stamp, copy into the ring, count. It always returns 0, so nothing is
 * ever queued on the socket it is attached to. The programs share all but the output, one for each
 * kind of ring, and the filters of filter.bpf.h: the loader loads the one that is needed, so that
 * a tap without filters does not pay for them.
 *
 * It must load on Linux 5.10: no atomics that return a value, no bpf_loop, no dynptr.
 *
 * What a CPU has of its own is written without locks, because packet taps run with soft interrupts
 * off, one at a time on each CPU. Kernels with PREEMPT_RT may let one task's packet preempt
 * another's on the same CPU (from Linux 6.18 on, without PREEMPT_RT_NEEDS_BH_LOCK). There the busy
 * word turns away, as ring_full, the packet that comes in between. What is left is being preempted
 * between two neighbouring instructions: of reading that word and setting it, or of adding to a
 * counter.
 */
#include "record.h"
#include "parse.bpf.h"
#include "filter.bpf.h"

enum {
	PACKET_SENT = 4, /* PACKET_OUTGOING of if_packet.h, which BPF cannot include */
	FRAGMENT_RATE = 1000,  /* later fragments of unknown datagrams, per CPU and second ... */
	FRAGMENT_BURST = 256,  /* ... and at once */
	NS_PER_SECOND = 1000000000,
};

/* Set by the loader before loading. */
const volatile bool entered; /* of other namespaces too, whose programs put the slot into cb[0] */
const volatile bool clamp; /* no sink wants bytes: headers and question suffice */

/*
 * armed: set to 1 by the reader before it blocks; whoever outputs first rings the doorbell.
 * stopped: set to 1 at the end; nothing is counted nor output any more.
 */
struct {
	__u32 armed;
	__u32 stopped;
	__u32 padding[30];
} control SEC(".data.control");

enum ring_kind { RING_ARRAY, RING_BPF, RING_PERF };

/* Chunks of each CPU in the array ring, a power of two; set by the loader. */
const volatile __u32 lane_chunks = 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* lane_chunks for each possible CPU, set by the loader */
	__uint(key_size, sizeof(__u32));
	__uint(value_size, LANE_CHUNK + LANE_SLACK);
} lanes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096); /* set by the loader */
} ring SEC(".maps");

/* Holds no data worth reading: its wake-up is what counts. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} doorbell SEC(".maps");

/* Indexed by CPU, not per-CPU maps: mapped into user space, or larger than 32 KiB. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1); /* possible CPUs, set by the loader, as for scratch */
	__type(key, __u32);
	__type(value, struct kernel_counts);
} counts SEC(".maps");

struct scratch {
	struct record record;
	__u8 bytes[RECORD_BYTES_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* Datagrams whose first fragment was on a watched port. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096); /* at least 256 a possible CPU, set by the loader */
	__type(key, struct fragment_key);
	__type(value, __u8);
} fragments SEC(".maps");

struct bucket {
	__u64 filled; /* ns */
	__u64 tokens;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

static __always_inline bool take_token(__u64 now)
{
	__u32 zero = 0;
	struct bucket *b = bpf_map_lookup_elem(&buckets, &zero);

	if (!b)
		return false;
	__u64 gained = (now - b->filled) / (NS_PER_SECOND / FRAGMENT_RATE);

	if (gained) {
		b->tokens = gained > FRAGMENT_BURST - b->tokens ? FRAGMENT_BURST : b->tokens + gained;
		b->filled = now;
	}
	if (!b->tokens)
		return false;
	b->tokens--;
	return true;
}

/* A first fragment on a watched port opens the way for those that follow. */
static __always_inline bool fragment_wanted(
	const struct headers *h, struct kernel_counts *c, __u64 now)
{
	if (h->has_ports) {
		__u8 seen = 1;

		if (!is_watched(h->src_port) && !is_watched(h->dst_port))
			return false;
		bpf_map_update_elem(&fragments, &h->key, &seen, BPF_ANY);
		return true;
	}
	if (bpf_map_lookup_elem(&fragments, &h->key) || take_token(now))
		return true;
	c->fragments_refused++;
	return false;
}

/* A TCP segment without data that opens or ends nothing. */
static __always_inline bool is_empty_segment(struct __sk_buff *skb, const struct headers *h)
{
	__u8 offset_flags[2];

	if (h->protocol != IPPROTO_TCP || !h->end)
		return false;
	if (bpf_skb_load_bytes(skb, h->l4 + 12, offset_flags, sizeof(offset_flags)))
		return false;
	return !(offset_flags[1] & TCP_FIN_SYN_RST) &&
		h->l4 + (offset_flags[0] >> 4) * 4 >= h->end;
}

/* How many bytes of the packet are wanted, 0 for a packet that is not. */
static __always_inline __u32 decide(struct __sk_buff *skb, struct kernel_counts **ret_counts,
	__u32 *cpu, __u64 *now, bool filtered)
{
	struct headers h = {};
	__u32 offset;
	__u16 ethertype;

	if (!parse_headers(skb, &h, &offset, &ethertype))
		return 0;
	if (!h.fragment && !is_watched(h.src_port) && !is_watched(h.dst_port))
		return 0;
	if (control.stopped)
		return 0;
	*cpu = bpf_get_smp_processor_id();
	*now = bpf_ktime_get_ns();
	struct kernel_counts *c = bpf_map_lookup_elem(&counts, cpu);

	if (!c)
		return 0;
	*ret_counts = c;
	if (h.fragment) {
		if (!fragment_wanted(&h, c, *now))
			return 0;
	} else if (is_empty_segment(skb, &h)) {
		c->empty_segments++;
		return 0;
	}
	if (filtered && !filter_passes(skb, &h, offset, ethertype)) {
		c->filtered++;
		return 0;
	}
	c->matched++;
	if (clamp && !settings.clamp_off && !h.fragment && h.protocol == IPPROTO_UDP &&
		!skb->gso_size) {
		__u32 most = h.l4 + 8 + RECORD_CLAMP_PAYLOAD;

		return skb->len < most ? skb->len : most;
	}
	return skb->len;
}

static __always_inline void fill_record(struct __sk_buff *skb, struct record *r, __u64 now)
{
	r->time = now;
	r->ifindex = skb->ifindex;
	r->wire = skb->len;
	r->offset = 0;
	r->tap = entered ? skb->cb[0] : 0;
	r->ethertype = bpf_ntohs(skb->protocol);
	r->vlan_tci = skb->vlan_tci;
	r->gso_size = skb->gso_size;
	r->flags = (skb->pkt_type & RECORD_PACKET_TYPE) | (skb->vlan_present ? RECORD_VLAN : 0);
	if ((r->flags & RECORD_PACKET_TYPE) == PACKET_SENT && is_tag(r->ethertype)) {
		__u32 tag = passed_tag(skb);

		if (tag) {
			r->vlan_tci = tag;
			r->flags |= RECORD_VLAN;
		}
	}
	r->version = RECORD_VERSION;
}

static __always_inline void ring_doorbell(void)
{
	__u64 nothing = 0;

	if (!control.armed)
		return;
	control.armed = 0;
	bpf_ringbuf_output(&doorbell, &nothing, sizeof(nothing), BPF_RB_FORCE_WAKEUP);
}

/*
 * Where this CPU's next record of the array ring goes; NULL: no room. This CPU is busy, so nobody
 * else writes here until the head has moved.
 */
static __always_inline struct record *lane_place(struct kernel_counts *c, __u32 cpu, __u32 size)
{
	__u64 tail = *(volatile __u64 *)&c->tail, head = c->head;
	__u32 index = cpu * lane_chunks + ((head / LANE_CHUNK) & (lane_chunks - 1));
	__u8 *chunk;

	if (head + size - tail > (__u64)lane_chunks * LANE_CHUNK)
		return NULL;
	chunk = bpf_map_lookup_elem(&lanes, &index);
	return chunk ? (void *)(chunk + (head & (LANE_CHUNK - LANE_ALIGN))) : NULL;
}

/* Where a record of so many bytes is put together: in the ring itself, or in this CPU's scratch. */
static __always_inline struct record *place(
	struct kernel_counts *c, __u32 cpu, __u32 size, enum ring_kind kind)
{
	if (kind == RING_ARRAY)
		return lane_place(c, cpu, size);
	return bpf_map_lookup_elem(&scratches, &cpu);
}

static __always_inline long publish(struct __sk_buff *skb, struct record *at, __u32 size,
	struct kernel_counts *c, enum ring_kind kind)
{
	switch (kind) {
	case RING_ARRAY:
		barrier();
		*(volatile __u64 *)&c->head = c->head + size;
		return 0;
	case RING_BPF:
		return bpf_ringbuf_output(&ring, at, size, BPF_RB_NO_WAKEUP);
	case RING_PERF:
		return bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU, at, size);
	}
	return -1;
}

static __always_inline __u32 aligned(__u32 size)
{
	return (size + LANE_ALIGN - 1) & ~(LANE_ALIGN - 1U);
}

/* The bytes from record->offset on. */
static __always_inline long output_part(struct __sk_buff *skb, struct record *r, __u32 wanted,
	struct kernel_counts *c, __u32 cpu, enum ring_kind kind)
{
	__u32 have = wanted - r->offset, size;
	struct record *at;

	if (have > RECORD_BYTES_MAX)
		have = RECORD_BYTES_MAX;
	/* Verifiers of Linux 6.1 and before learn nothing from a comparison with 0. */
	have--;
	barrier_var(have);
	if (have >= RECORD_BYTES_MAX)
		return -1;
	have++;
	size = sizeof(*r) + have;
	if (kind == RING_ARRAY)
		size = aligned(size);
	at = place(c, cpu, size, kind);
	if (!at || bpf_skb_load_bytes(skb, r->offset, at + 1, have))
		return -1;
	r->have = have;
	*at = *r;
	return publish(skb, at, size, c, kind);
}

static __always_inline long output_rest(struct __sk_buff *skb, struct record *r, __u32 wanted,
	struct kernel_counts *c, __u32 cpu, enum ring_kind kind)
{
	for (int i = 1; i < RECORD_PARTS_MAX && r->offset + r->have < wanted; i++) {
		long err;

		r->offset += r->have;
		err = output_part(skb, r, wanted, c, cpu, kind);
		if (err)
			return err;
	}
	return 0;
}

/* The commonest output of all: header from the stack, packet bytes appended by the helper. */
static __always_inline long output_appended(struct __sk_buff *skb, struct record *r, __u32 wanted)
{
	r->have = wanted < RECORD_BYTES_MAX ? wanted : RECORD_BYTES_MAX;
	return bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU | (__u64)r->have << 32, r,
		sizeof(*r));
}

static __always_inline long output(struct __sk_buff *skb, __u32 wanted, struct kernel_counts *c,
	__u32 cpu, __u64 now, enum ring_kind kind)
{
	struct record r;
	long err;

	fill_record(skb, &r, now);
	if (*(volatile __u64 *)&c->busy)
		return -1;
	*(volatile __u64 *)&c->busy = 1;
	barrier();
	err = kind == RING_PERF ? output_appended(skb, &r, wanted)
				: output_part(skb, &r, wanted, c, cpu, kind);
	if (!err && wanted > RECORD_BYTES_MAX)
		err = output_rest(skb, &r, wanted, c, cpu, kind);
	barrier();
	*(volatile __u64 *)&c->busy = 0;
	return err;
}

static __always_inline int capture(struct __sk_buff *skb, enum ring_kind kind, bool filtered)
{
	struct kernel_counts *c = NULL;
	__u64 now = 0;
	__u32 cpu = 0;
	__u32 wanted = decide(skb, &c, &cpu, &now, filtered);

	if (!wanted || !c)
		return 0;
	if (output(skb, wanted, c, cpu, now, kind))
		c->ring_full++;
	ring_doorbell();
	return 0;
}

SEC("socket")
int capture_array(struct __sk_buff *skb)
{
	return capture(skb, RING_ARRAY, false);
}

SEC("socket")
int capture_ring(struct __sk_buff *skb)
{
	return capture(skb, RING_BPF, false);
}

SEC("socket")
int capture_perf(struct __sk_buff *skb)
{
	return capture(skb, RING_PERF, false);
}

SEC("socket")
int filter_array(struct __sk_buff *skb)
{
	return capture(skb, RING_ARRAY, true);
}

SEC("socket")
int filter_ring(struct __sk_buff *skb)
{
	return capture(skb, RING_BPF, true);
}

SEC("socket")
int filter_perf(struct __sk_buff *skb)
{
	return capture(skb, RING_PERF, true);
}

/* bpf_perf_event_output is for GPL-compatible programs only. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
