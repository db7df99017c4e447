/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of datagrams that arrive piece by piece, each kept at its offset. A datagram's map names
 * its pages of 2 KiB, all from one pool; two bits for each 8 bytes, the unit in which fragments
 * are cut, say "is here" and "a piece starts here". So a piece costs time and memory by its
 * length, however many there are, and nothing is sorted or walked.
 *
 * Bounds: as many pages as pages_new was told, taken there; a page never used is never touched,
 * pages given back are used first. The owner sees to it that the pool suffices: it asks
 * pages_missing before pages_store. Offsets are multiples of 8, and so are lengths but that of the
 * piece which ends the datagram; no piece ends behind 65,535. A wing of wire/fragments. One thread.
 */
#ifndef WIRE_FRAGMENT_PAGES_H
#define WIRE_FRAGMENT_PAGES_H

#include <stddef.h>
#include <stdint.h>

enum {
	PAGES_PAGE_BYTES = 2048, /* an Ethernet fragment is 1,480 bytes at most */
	PAGES_PER_DATAGRAM = 65536 / PAGES_PAGE_BYTES,
};

/* Zeroed: nothing is here. */
struct pages_map {
	uint32_t pages[PAGES_PER_DATAGRAM]; /* index in the pool plus 1; 0: none */
	uint32_t count;
};

enum pages_cover {
	PAGES_FREE, /* no byte of it is here */
	PAGES_COPY, /* one piece with the same offset, length and bytes is */
	PAGES_OVERLAP,
};

struct pages;

/* NULL without memory. */
struct pages *pages_new(uint32_t count);
void pages_free(struct pages *pages);

/* How many pages may be had for so many bytes of memory. */
uint32_t pages_in(size_t memory);
/* How many further pages a piece needs. */
uint32_t pages_missing(const struct pages_map *map, uint32_t offset, uint32_t len);
enum pages_cover pages_cover(const struct pages *pages, const struct pages_map *map,
	uint32_t offset, const uint8_t *bytes, uint32_t len);
void pages_store(struct pages *pages, struct pages_map *map, uint32_t offset, const uint8_t *bytes,
	uint32_t len);
/* The first len bytes, all of which are here, in one piece. */
void pages_read(
	const struct pages *pages, const struct pages_map *map, uint8_t *ret, uint32_t len);
/* Gives the map's pages back to the pool; the map is not to be used again. */
void pages_release(struct pages *pages, const struct pages_map *map);

/* Bytes taken in all. */
size_t pages_memory(const struct pages *pages);

#endif
