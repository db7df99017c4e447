/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { CAPACITY_MAX = 1 << 24, NONE = 0xffffffff, ALIGN = 8 };

/* Stands before each entry: slot = links | key | entry, each part padded to ALIGN. */
struct links {
	uint32_t hash;
	uint32_t chain; /* next slot of this bucket, in the order of adding; or the free list */
	uint32_t older, younger;
};

struct table {
	uint32_t capacity, count;
	uint32_t bucket_mask;
	uint32_t oldest, youngest;
	uint32_t free;  /* head of the slots given back */
	uint32_t fresh; /* slots from here on were never used */
	size_t key_size, key_room, entry_size, slot_size;
	uint32_t *buckets;
	uint8_t *slots;
	uint8_t secret[XXH_SECRET_DEFAULT_SIZE];
};

static size_t padded(size_t size)
{
	return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct links *links_at(const struct table *t, uint32_t slot)
{
	return (struct links *)(t->slots + slot * t->slot_size);
}

static struct links *links_of(const struct table *t, const void *entry)
{
	return (struct links *)((uint8_t *)entry - t->key_room - sizeof(struct links));
}

static uint32_t slot_of(const struct table *t, const struct links *links)
{
	return (uint32_t)((size_t)((const uint8_t *)links - t->slots) / t->slot_size);
}

static void *key_at(struct links *links)
{
	return links + 1;
}

static void *entry_at(const struct table *t, struct links *links)
{
	return (uint8_t *)(links + 1) + t->key_room;
}

static void *entry_or_null(const struct table *t, uint32_t slot)
{
	return slot == NONE ? NULL : entry_at(t, links_at(t, slot));
}

static bool fill_random(void *bytes, size_t len)
{
	uint8_t *at = bytes;

	while (len) {
		ssize_t got = getrandom(at, len, 0);

		if (got <= 0)
			return false;
		at += got;
		len -= (size_t)got;
	}
	return true;
}

/* A slot given back, else one never used: memory is touched only as far as the table was filled. */
static uint32_t take_slot(struct table *t)
{
	uint32_t slot = t->free;

	if (slot == NONE)
		return t->fresh < t->capacity ? t->fresh++ : NONE;
	t->free = links_at(t, slot)->chain;
	return slot;
}

struct table *table_new(size_t capacity, size_t key_size, size_t entry_size)
{
	struct table *t;
	size_t buckets = 2;

	if (capacity < 1 || capacity > CAPACITY_MAX)
		return NULL;
	while (buckets < 2 * capacity)
		buckets *= 2;
	t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->capacity = (uint32_t)capacity;
	t->bucket_mask = (uint32_t)(buckets - 1);
	t->oldest = t->youngest = t->free = NONE;
	t->key_size = key_size;
	t->key_room = padded(key_size);
	t->entry_size = entry_size;
	t->slot_size = sizeof(struct links) + t->key_room + padded(entry_size);
	t->buckets = malloc(buckets * sizeof(*t->buckets));
	t->slots = calloc(capacity, t->slot_size);
	if (!t->buckets || !t->slots || !fill_random(t->secret, sizeof(t->secret))) {
		table_free(t);
		return NULL;
	}
	memset(t->buckets, 0xff, buckets * sizeof(*t->buckets));
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	free(t->buckets);
	free(t->slots);
	free(t);
}

uint64_t table_hash(const struct table *t, const void *bytes, size_t len)
{
	return XXH3_64bits_withSecret(bytes, len, t->secret, sizeof(t->secret));
}

static struct links *chain_match(
	const struct table *t, uint32_t slot, uint32_t hash, const void *key)
{
	while (slot != NONE) {
		struct links *links = links_at(t, slot);

		if (links->hash == hash && !memcmp(key_at(links), key, t->key_size))
			return links;
		slot = links->chain;
	}
	return NULL;
}

void *table_find(const struct table *t, const void *key)
{
	uint32_t hash = (uint32_t)table_hash(t, key, t->key_size);
	struct links *links = chain_match(t, t->buckets[hash & t->bucket_mask], hash, key);

	return links ? entry_at(t, links) : NULL;
}

void *table_find_next(const struct table *t, const void *entry)
{
	struct links *links = links_of(t, entry);
	struct links *next = chain_match(t, links->chain, links->hash, key_at(links));

	return next ? entry_at(t, next) : NULL;
}

static void age_append(struct table *t, struct links *links)
{
	uint32_t slot = slot_of(t, links);

	links->older = t->youngest;
	links->younger = NONE;
	if (t->youngest != NONE)
		links_at(t, t->youngest)->younger = slot;
	else
		t->oldest = slot;
	t->youngest = slot;
}

static void age_unlink(struct table *t, const struct links *links)
{
	if (links->older != NONE)
		links_at(t, links->older)->younger = links->younger;
	else
		t->oldest = links->younger;
	if (links->younger != NONE)
		links_at(t, links->younger)->older = links->older;
	else
		t->youngest = links->older;
}

/* The link that points at slot, or at the end of the chain for NONE. */
static uint32_t *chain_link(struct table *t, uint32_t hash, uint32_t slot)
{
	uint32_t *link = &t->buckets[hash & t->bucket_mask];

	while (*link != slot)
		link = &links_at(t, *link)->chain;
	return link;
}

void *table_add(struct table *t, const void *key)
{
	struct links *links;
	uint32_t slot = take_slot(t);

	if (slot == NONE)
		return NULL;
	links = links_at(t, slot);
	links->hash = (uint32_t)table_hash(t, key, t->key_size);
	links->chain = NONE;
	*chain_link(t, links->hash, NONE) = slot;
	age_append(t, links);
	t->count++;
	memcpy(key_at(links), key, t->key_size);
	memset(entry_at(t, links), 0, t->entry_size);
	return entry_at(t, links);
}

void table_touch(struct table *t, void *entry)
{
	struct links *links = links_of(t, entry);

	age_unlink(t, links);
	age_append(t, links);
}

void table_remove(struct table *t, void *entry)
{
	struct links *links = links_of(t, entry);
	uint32_t slot = slot_of(t, links);

	*chain_link(t, links->hash, slot) = links->chain;
	age_unlink(t, links);
	links->chain = t->free;
	t->free = slot;
	t->count--;
}

void *table_oldest(const struct table *t)
{
	return entry_or_null(t, t->oldest);
}

void *table_younger(const struct table *t, const void *entry)
{
	return entry_or_null(t, links_of(t, entry)->younger);
}

const void *table_key(const struct table *t, const void *entry)
{
	return key_at(links_of(t, entry));
}

size_t table_count(const struct table *t)
{
	return t->count;
}

bool table_full(const struct table *t)
{
	return t->count == t->capacity;
}

size_t table_memory(const struct table *t)
{
	return sizeof(*t) + t->capacity * t->slot_size +
	       ((size_t)t->bucket_mask + 1) * sizeof(*t->buckets);
}
