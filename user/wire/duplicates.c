/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/duplicates.h"

#include <stdlib.h>
#include <string.h>

#include "base/table.h"

struct duplicates {
	struct table *seen; /* key: uint64_t, what packet_hash gives */
};

struct sighting {
	uint64_t tap; /* where it was seen first */
	uint64_t time;
};

/* What of a packet is the same at every tap it passes, payload apart. */
struct invariant {
	struct flow flow;
	uint8_t kind, tcp_flags;
	uint32_t seq, ack;
	uint32_t fragment_id, fragment_offset;
	uint32_t payload_len;
	uint32_t padding;
	uint64_t payload;
};
_Static_assert(sizeof(struct invariant) == 72, "struct invariant is hashed and has no padding");

struct duplicates *duplicates_new(void)
{
	struct duplicates *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->seen = table_new(DUPLICATES_MAX, sizeof(uint64_t), sizeof(struct sighting));
	if (!d->seen) {
		duplicates_free(d);
		return NULL;
	}
	return d;
}

void duplicates_free(struct duplicates *d)
{
	if (!d)
		return;
	table_free(d->seen);
	free(d);
}

static uint64_t packet_hash(const struct duplicates *d, const struct packet *p)
{
	struct invariant i = {
		.flow = p->flow,
		.kind = (uint8_t)p->kind,
		.payload_len = p->payload_len,
		.payload = table_hash(d->seen, p->payload, p->payload_have),
	};

	if (p->kind == PACKET_SEGMENT) {
		i.seq = p->seq;
		i.ack = p->ack;
		i.tcp_flags = p->tcp_flags;
	} else if (p->kind == PACKET_FRAGMENT) {
		i.fragment_id = p->fragment_id;
		i.fragment_offset = p->fragment_offset;
	}
	return table_hash(d->seen, &i, sizeof(i));
}

static struct sighting *remember(struct duplicates *d, uint64_t hash)
{
	if (table_full(d->seen))
		table_remove(d->seen, table_oldest(d->seen));
	return table_add(d->seen, &hash);
}

/* Either way: two CPUs' records may come out of their rings a little out of order. */
static bool is_near(uint64_t a, uint64_t b)
{
	return (a < b ? b - a : a - b) < DUPLICATES_WINDOW_NS;
}

bool duplicates_is_copy(
	struct duplicates *d, const struct packet *packet, uint64_t tap, uint64_t now)
{
	uint64_t hash = packet_hash(d, packet);
	struct sighting *s = table_find(d->seen, &hash);

	if (s && s->tap != tap && is_near(s->time, now))
		return true;
	if (!s)
		s = remember(d, hash);
	else
		table_touch(d->seen, s);
	s->tap = tap;
	s->time = now;
	return false;
}
