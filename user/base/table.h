/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A keyed table of fixed capacity: all memory is taken by table_new, nothing is allocated after
 * it. Keys are plain memory of one size, entries are the caller's, of one size and zeroed when
 * they are added; several entries may share a key and are found oldest first. The hash is XXH3
 * with a secret drawn at random for each table, so that who chooses the keys cannot choose the
 * collisions. Entries are also on one list in the order of their last table_add or table_touch, so
 * the oldest is always at hand: what to give up when the table is full is the caller's decision.
 *
 * Cost: find and add walk one hash chain (load factor at most 1/2). One thread.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table;

/* NULL without memory or without randomness. capacity: 1 to 2^24 entries. */
struct table *table_new(size_t capacity, size_t key_size, size_t entry_size);
void table_free(struct table *table);

/* The oldest entry with this key, or NULL. */
void *table_find(const struct table *table, const void *key);
/* The next younger entry with the same key as entry, or NULL. */
void *table_find_next(const struct table *table, const void *entry);
/* A zeroed entry under key, youngest of all; NULL when the table is full. */
void *table_add(struct table *table, const void *key);
/* Makes entry the youngest of the age list; among entries of one key its place stays. */
void table_touch(struct table *table, void *entry);
void table_remove(struct table *table, void *entry);

/* The entry that was added or touched longest ago, or NULL when the table is empty. */
void *table_oldest(const struct table *table);
/* The next younger entry on the age list, or NULL. */
void *table_younger(const struct table *table, const void *entry);
const void *table_key(const struct table *table, const void *entry);
size_t table_count(const struct table *table);
bool table_full(const struct table *table);
/* Bytes taken by the table in all. */
size_t table_memory(const struct table *table);

/* A keyed 64-bit hash with this table's secret, for a caller's own fields. */
uint64_t table_hash(const struct table *table, const void *bytes, size_t len);

#endif
