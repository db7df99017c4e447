/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of recent queries, for the responses that are to carry them (--with-query). One block
 * of memory, written round and round: the oldest copies are overwritten, and asking for one of
 * those gives nothing. Whoever stored a copy keeps its place; nothing is searched or freed. Pure,
 * one thread.
 */
#ifndef EXCHANGE_COPIES_H
#define EXCHANGE_COPIES_H

#include <stddef.h>
#include <stdint.h>

enum {
	COPIES_MEMORY_MIN = 128 * 1024, /* bytes: a query of 64 KiB always fits */
	COPIES_MEMORY_DEFAULT = 16 * 1024 * 1024,
};

/* Where a copy stands: bytes written before it since the start. */
struct copy {
	uint64_t position;
	uint32_t len; /* 0: no copy */
};

struct copies;

/* NULL without memory. */
struct copies *copies_new(size_t memory);
void copies_free(struct copies *copies);

/* len is at most 65,535. */
struct copy copies_store(struct copies *copies, const uint8_t *bytes, uint32_t len);
/* The bytes, valid until the next copies_store; NULL where they were overwritten. */
const uint8_t *copies_fetch(const struct copies *copies, struct copy copy);

/* Bytes allocated in all. */
size_t copies_memory(const struct copies *copies);

#endif
