/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/fragment_pages.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	UNIT = 8, /* bytes: what offsets are counted in on the wire */
	WORD = 64, /* units */
	PAGE_WORDS = PAGES_PAGE_BYTES / UNIT / WORD,
};

enum mark { COVERED, STARTS };

struct page {
	uint64_t marks[2][PAGE_WORDS]; /* a bit for each unit */
	uint32_t next_free;
	uint8_t bytes[PAGES_PAGE_BYTES];
};

struct pages {
	uint32_t count;
	uint32_t fresh; /* pages from here on were never used */
	uint32_t free;  /* index plus 1 of the page given back last */
	struct page *pool;
};

/* The units a piece touches, the last one perhaps in part: from, included, to, not included. */
struct units {
	uint32_t from, to;
};

static struct units units_of(uint32_t offset, uint32_t len)
{
	return (struct units){.from = offset / UNIT, .to = (offset + len + UNIT - 1) / UNIT};
}

static struct units one_unit(uint32_t unit)
{
	return (struct units){.from = unit, .to = unit + 1};
}

/* NULL: no page there, no bit is set. */
static uint64_t *marks_word(
	const struct pages *p, const struct pages_map *map, enum mark mark, uint32_t word)
{
	uint32_t page = map->pages[word / PAGE_WORDS];

	return page ? &p->pool[page - 1].marks[mark][word % PAGE_WORDS] : NULL;
}

/* The bits of word that stand for these units, at least one of which is in it. */
static uint64_t bits_in_word(struct units units, uint32_t word)
{
	uint32_t start = word * WORD;
	uint32_t low = units.from > start ? units.from - start : 0;
	uint32_t high = units.to < start + WORD ? units.to - start : WORD;

	return UINT64_MAX << low & UINT64_MAX >> (WORD - high);
}

static uint32_t marks_count(
	const struct pages *p, const struct pages_map *map, enum mark mark, struct units units)
{
	uint32_t count = 0;

	for (uint32_t word = units.from / WORD; word * WORD < units.to; word++) {
		const uint64_t *marks = marks_word(p, map, mark, word);

		if (marks)
			count += (uint32_t)__builtin_popcountll(*marks & bits_in_word(units, word));
	}
	return count;
}

/* The pages are there. */
static void marks_set(
	const struct pages *p, const struct pages_map *map, enum mark mark, struct units units)
{
	for (uint32_t word = units.from / WORD; word * WORD < units.to; word++)
		*marks_word(p, map, mark, word) |= bits_in_word(units, word);
}

/* How many of left bytes from offset on stand in one page. */
static uint32_t part_len(uint32_t offset, uint32_t left)
{
	uint32_t room = PAGES_PAGE_BYTES - offset % PAGES_PAGE_BYTES;

	return left < room ? left : room;
}

static uint8_t *bytes_at(const struct pages *p, const struct pages_map *map, uint32_t offset)
{
	uint32_t page = map->pages[offset / PAGES_PAGE_BYTES];

	return p->pool[page - 1].bytes + offset % PAGES_PAGE_BYTES;
}

static uint32_t take_page(struct pages *p)
{
	struct page *page;
	uint32_t taken = p->free;

	if (!taken)
		return ++p->fresh;
	page = &p->pool[taken - 1];
	p->free = page->next_free;
	memset(page->marks, 0, sizeof(page->marks));
	return taken;
}

struct pages *pages_new(uint32_t count)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->count = count;
	p->pool = calloc(count, sizeof(*p->pool));
	if (!p->pool) {
		pages_free(p);
		return NULL;
	}
	return p;
}

void pages_free(struct pages *p)
{
	if (!p)
		return;
	free(p->pool);
	free(p);
}

uint32_t pages_in(size_t memory)
{
	size_t count = memory / sizeof(struct page);

	return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

uint32_t pages_missing(const struct pages_map *map, uint32_t offset, uint32_t len)
{
	uint32_t missing = 0;

	for (uint32_t i = offset / PAGES_PAGE_BYTES; i * PAGES_PAGE_BYTES < offset + len; i++)
		missing += !map->pages[i];
	return missing;
}

static bool has_same_bytes(const struct pages *p, const struct pages_map *map, uint32_t offset,
	const uint8_t *bytes, uint32_t len)
{
	uint32_t part;

	for (uint32_t done = 0; done < len; done += part) {
		part = part_len(offset + done, len - done);
		if (memcmp(bytes_at(p, map, offset + done), bytes + done, part))
			return false;
	}
	return true;
}

/* All these units are covered: by one piece alone, from its start to its end? */
static bool is_one_piece(
	const struct pages *p, const struct pages_map *map, struct units units, bool may_go_on)
{
	if (!marks_count(p, map, STARTS, one_unit(units.from)) ||
		marks_count(p, map, STARTS, units) != 1)
		return false;
	return !may_go_on || !marks_count(p, map, COVERED, one_unit(units.to)) ||
		marks_count(p, map, STARTS, one_unit(units.to));
}

enum pages_cover pages_cover(const struct pages *p, const struct pages_map *map, uint32_t offset,
	const uint8_t *bytes, uint32_t len)
{
	struct units units = units_of(offset, len);
	uint32_t covered = marks_count(p, map, COVERED, units);
	bool may_go_on = units.to < PAGES_PER_DATAGRAM * PAGE_WORDS * WORD;

	if (!covered)
		return PAGES_FREE;
	if (covered == units.to - units.from && is_one_piece(p, map, units, may_go_on) &&
		has_same_bytes(p, map, offset, bytes, len))
		return PAGES_COPY;
	return PAGES_OVERLAP;
}

void pages_store(struct pages *p, struct pages_map *map, uint32_t offset, const uint8_t *bytes,
	uint32_t len)
{
	struct units units = units_of(offset, len);
	uint32_t part;

	for (uint32_t done = 0; done < len; done += part) {
		uint32_t *page = &map->pages[(offset + done) / PAGES_PAGE_BYTES];

		if (!*page) {
			*page = take_page(p);
			map->count++;
		}
		part = part_len(offset + done, len - done);
		memcpy(bytes_at(p, map, offset + done), bytes + done, part);
	}
	marks_set(p, map, COVERED, units);
	marks_set(p, map, STARTS, one_unit(units.from));
}

void pages_read(const struct pages *p, const struct pages_map *map, uint8_t *ret, uint32_t len)
{
	uint32_t part;

	for (uint32_t done = 0; done < len; done += part) {
		part = part_len(done, len - done);
		memcpy(ret + done, bytes_at(p, map, done), part);
	}
}

void pages_release(struct pages *p, const struct pages_map *map)
{
	for (unsigned i = 0; i < PAGES_PER_DATAGRAM; i++) {
		if (!map->pages[i])
			continue;
		p->pool[map->pages[i] - 1].next_free = p->free;
		p->free = map->pages[i];
	}
}

size_t pages_memory(const struct pages *p)
{
	return sizeof(*p) + p->count * sizeof(*p->pool);
}
