/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/fragments.h"

#include <stdlib.h>
#include <string.h>

#include "base/table.h"
#include "wire/fragment_pages.h"

#define SECOND UINT64_C(1000000000) /* ns */

enum {
	UNIT = 8,            /* bytes: what all fragments but the last are cut in */
	UNCLAIMED_SHARE = 4, /* one part of so many */
};

_Static_assert(FRAGMENTS_MEMORY_MIN / UNCLAIMED_SHARE >= 2 * 65536,
	"each share holds a datagram of any length, the pages' own marks included");

struct key {
	uint8_t src[16], dst[16];
	uint32_t id;
	uint8_t family, protocol, zero[2];
};
_Static_assert(sizeof(struct key) == 40, "struct key is hashed as memory and has no padding");

struct datagram {
	uint64_t began; /* ns */
	uint32_t fragments;
	uint32_t bytes; /* held */
	uint32_t reach; /* the highest end of its fragments */
	uint32_t total; /* 0: its last fragment is not here */
	uint8_t next;
	bool claimed;
	struct pages_map map;
};

struct tombstone {
	uint64_t began;
};

struct share {
	struct table *datagrams;
	uint64_t timeout;
	uint32_t pages_max, pages_used; /* the shares' maxima add up to the pool */
	uint64_t *timed_out, *evicted;
};

struct fragments {
	struct fragments_counts *counts;
	uint64_t held;
	uint64_t now;
	bool started;
	struct share claimed, unclaimed;
	struct table *discarded; /* tombstones */
	struct pages *pages;
	uint8_t assembled[FRAGMENTS_PAYLOAD_MAX];
};

/* What is known of a datagram none of whose fragments is here. */
static const struct datagram nothing;

static struct share *share_of(struct fragments *f, const struct datagram *d)
{
	return d->claimed ? &f->claimed : &f->unclaimed;
}

static uint32_t fragment_end(const struct packet *p)
{
	return p->fragment_offset + p->payload_len;
}

/* Lengths that cannot be, alone or beside the other fragments. */
static bool is_malformed(const struct datagram *d, const struct packet *p)
{
	uint32_t end = fragment_end(p);

	if (!p->payload_len || p->payload_len > FRAGMENTS_PAYLOAD_MAX ||
		end > FRAGMENTS_PAYLOAD_MAX || p->fragment_offset % UNIT)
		return true;
	if (p->fragment_more)
		return p->payload_len % UNIT || (d->total && end >= d->total);
	return d->total ? end != d->total : end < d->reach;
}

/* The count of the reason not to take the fragment, or NULL. */
static uint64_t *find_fault(
	const struct fragments *f, const struct datagram *d, const struct packet *p)
{
	enum pages_cover cover;

	if (is_malformed(d, p))
		return &f->counts->fragments_malformed;
	if (p->payload_have < p->payload_len)
		return &f->counts->fragments_truncated;
	cover = pages_cover(f->pages, &d->map, p->fragment_offset, p->payload, p->payload_len);
	if (cover == PAGES_FREE)
		return NULL;
	/* What says it is the last one is a copy only where the last one is here. */
	if (cover == PAGES_COPY && (p->fragment_more || d->total))
		return &f->counts->fragments_duplicate;
	return &f->counts->fragments_overlap;
}

static void end_datagram(struct fragments *f, struct datagram *d, uint64_t *reason)
{
	struct share *s = share_of(f, d);

	*reason += d->fragments;
	f->held -= d->fragments;
	pages_release(f->pages, &d->map);
	s->pages_used -= d->map.count;
	table_remove(s->datagrams, d);
}

static void remember_discarded(struct fragments *f, const struct key *key)
{
	struct tombstone *tombstone;

	if (table_full(f->discarded))
		table_remove(f->discarded, table_oldest(f->discarded));
	tombstone = table_add(f->discarded, key);
	tombstone->began = f->now;
}

static struct datagram *begin_datagram(struct fragments *f, struct share *s, const struct key *key)
{
	struct datagram *d;

	if (table_full(s->datagrams))
		end_datagram(f, table_oldest(s->datagrams), s->evicted);
	d = table_add(s->datagrams, key);
	d->began = f->now;
	return d;
}

/* The first fragment is here: from now on the datagram belongs to the other share. */
static struct datagram *claim_datagram(
	struct fragments *f, struct datagram *d, const struct key *key, uint8_t next)
{
	struct datagram *claimed = begin_datagram(f, &f->claimed, key);

	if (d) {
		f->unclaimed.pages_used -= d->map.count;
		f->claimed.pages_used += d->map.count;
		*claimed = *d;
		claimed->began = f->now;
		table_remove(f->unclaimed.datagrams, d);
	}
	claimed->claimed = true;
	claimed->next = next;
	return claimed;
}

/* The others go, oldest first, until d may have so many more pages; alone it always may. */
static void make_room(struct fragments *f, const struct datagram *d, uint32_t pages)
{
	struct share *s = share_of(f, d);

	while (s->pages_used + pages > s->pages_max) {
		struct datagram *oldest = table_oldest(s->datagrams);

		if (oldest == d)
			oldest = table_younger(s->datagrams, oldest);
		end_datagram(f, oldest, s->evicted);
	}
}

static void store(struct fragments *f, struct datagram *d, const struct packet *p)
{
	uint32_t end = fragment_end(p);
	uint32_t missing = pages_missing(&d->map, p->fragment_offset, p->payload_len);

	make_room(f, d, missing);
	share_of(f, d)->pages_used += missing;
	pages_store(f->pages, &d->map, p->fragment_offset, p->payload, p->payload_len);
	d->bytes += p->payload_len;
	d->fragments++;
	f->held++;
	if (d->reach < end)
		d->reach = end;
	if (!p->fragment_more)
		d->total = end;
}

static void complete(struct fragments *f, struct datagram *d, struct fragments_datagram *ret)
{
	pages_read(f->pages, &d->map, f->assembled, d->total);
	*ret = (struct fragments_datagram){
		.bytes = f->assembled, .len = d->total, .next = d->next};
	end_datagram(f, d, &f->counts->fragments_reassembled);
	f->counts->reassembled++;
}

static void make_key(const struct packet *p, struct key *ret)
{
	*ret = (struct key){.id = p->fragment_id, .family = p->flow.family};
	memcpy(ret->src, p->flow.src, sizeof(ret->src));
	memcpy(ret->dst, p->flow.dst, sizeof(ret->dst));
	if (p->flow.family == FAMILY_IPV4)
		ret->protocol = p->fragment_next;
}

static struct datagram *find_datagram(const struct fragments *f, const struct key *key)
{
	struct datagram *d = table_find(f->claimed.datagrams, key);

	return d ? d : table_find(f->unclaimed.datagrams, key);
}

static enum fragments_result refuse(
	struct fragments *f, struct datagram *d, const struct key *key, uint64_t *reason)
{
	(*reason)++;
	if (reason == &f->counts->fragments_duplicate)
		return FRAGMENTS_DISCARDED;
	if (d)
		end_datagram(f, d, reason);
	remember_discarded(f, key);
	return FRAGMENTS_DISCARDED;
}

enum fragments_result fragments_add(struct fragments *f, const struct packet *packet, uint64_t now,
	struct fragments_datagram *ret)
{
	struct key key;
	struct datagram *d;
	uint64_t *reason;

	f->counts->fragments++;
	fragments_expire(f, now);
	make_key(packet, &key);
	if (table_find(f->discarded, &key)) {
		f->counts->fragments_of_discarded++;
		return FRAGMENTS_DISCARDED;
	}
	d = find_datagram(f, &key);
	reason = find_fault(f, d ? d : &nothing, packet);
	if (reason)
		return refuse(f, d, &key, reason);
	if (!packet->fragment_offset)
		d = claim_datagram(f, d, &key, packet->fragment_next);
	else if (!d)
		d = begin_datagram(f, &f->unclaimed, &key);
	store(f, d, packet);
	if (d->bytes != d->total)
		return FRAGMENTS_HELD;
	complete(f, d, ret);
	return FRAGMENTS_COMPLETE;
}

/* Thanks to the jump rule, what seems to have begun after now is older than any timeout. */
static void follow_time(struct fragments *f, uint64_t now)
{
	int64_t ahead = (int64_t)(now - f->now);

	if (!f->started || ahead > 0 || ahead < -(int64_t)(FRAGMENTS_TIMEOUT * SECOND))
		f->now = now;
	f->started = true;
}

static void expire_share(struct fragments *f, struct share *s)
{
	struct datagram *d;

	while ((d = table_oldest(s->datagrams)) && f->now - d->began >= s->timeout)
		end_datagram(f, d, s->timed_out);
}

void fragments_expire(struct fragments *f, uint64_t now)
{
	struct tombstone *t;

	follow_time(f, now);
	expire_share(f, &f->claimed);
	expire_share(f, &f->unclaimed);
	while ((t = table_oldest(f->discarded)) &&
		f->now - t->began >= FRAGMENTS_TIMEOUT * SECOND)
		table_remove(f->discarded, t);
}

/* How long until the oldest is due; UINT64_MAX: there is none. */
static uint64_t time_left(const struct fragments *f, const struct share *s)
{
	const struct datagram *d = table_oldest(s->datagrams);
	uint64_t age;

	if (!d)
		return UINT64_MAX;
	age = f->now - d->began;
	return age < s->timeout ? s->timeout - age : 0;
}

uint64_t fragments_next_expiry(const struct fragments *f)
{
	uint64_t claimed = time_left(f, &f->claimed), unclaimed = time_left(f, &f->unclaimed);
	uint64_t left = claimed < unclaimed ? claimed : unclaimed;

	return left == UINT64_MAX ? UINT64_MAX : f->now + left;
}

static void drain_share(struct fragments *f, struct share *s)
{
	struct datagram *d;

	while ((d = table_oldest(s->datagrams)))
		end_datagram(f, d, &f->counts->fragments_drained);
}

void fragments_drain(struct fragments *f)
{
	drain_share(f, &f->claimed);
	drain_share(f, &f->unclaimed);
}

static struct share share_new(size_t datagrams, uint32_t pages, uint64_t seconds)
{
	return (struct share){
		.datagrams = table_new(datagrams, sizeof(struct key), sizeof(struct datagram)),
		.timeout = seconds * SECOND,
		.pages_max = pages,
	};
}

struct fragments *fragments_new(
	size_t max_datagrams, size_t memory, struct fragments_counts *counts)
{
	struct fragments *f;
	size_t few = max_datagrams / UNCLAIMED_SHARE;
	uint32_t pages = pages_in(memory);

	if (max_datagrams < FRAGMENTS_MAX_DATAGRAMS_MIN ||
		max_datagrams > FRAGMENTS_MAX_DATAGRAMS_MAX || memory < FRAGMENTS_MEMORY_MIN ||
		memory > FRAGMENTS_MEMORY_MAX)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->counts = counts;
	f->pages = pages_new(pages);
	f->unclaimed = share_new(few, pages / UNCLAIMED_SHARE, FRAGMENTS_TIMEOUT_UNCLAIMED);
	f->unclaimed.timed_out = &counts->fragments_unclaimed;
	f->unclaimed.evicted = &counts->fragments_unclaimed_evicted;
	f->claimed =
		share_new(max_datagrams - few, pages - pages / UNCLAIMED_SHARE, FRAGMENTS_TIMEOUT);
	f->claimed.timed_out = &counts->fragments_timed_out;
	f->claimed.evicted = &counts->fragments_evicted;
	f->discarded = table_new(max_datagrams, sizeof(struct key), sizeof(struct tombstone));
	if (!f->pages || !f->unclaimed.datagrams || !f->claimed.datagrams || !f->discarded) {
		fragments_free(f);
		return NULL;
	}
	return f;
}

void fragments_free(struct fragments *f)
{
	if (!f)
		return;
	table_free(f->claimed.datagrams);
	table_free(f->unclaimed.datagrams);
	table_free(f->discarded);
	pages_free(f->pages);
	free(f);
}

uint64_t fragments_held(const struct fragments *f)
{
	return f->held;
}

size_t fragments_memory(const struct fragments *f)
{
	return sizeof(*f) + pages_memory(f->pages) + table_memory(f->claimed.datagrams) +
		table_memory(f->unclaimed.datagrams) + table_memory(f->discarded);
}
