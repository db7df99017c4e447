/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of address prefixes, for "is this address one of ours". For each family and each length
 * that occurs there is a sorted array of the prefixes of that length: a question costs one binary
 * search a length, and hosts have two or three lengths. Filling allocates, asking does not.
 * One thread.
 */
#ifndef BASE_PREFIXES_H
#define BASE_PREFIXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefixes;

struct prefixes *prefixes_new(void);
void prefixes_free(struct prefixes *prefixes);
void prefixes_clear(struct prefixes *prefixes);
/* Exchanges the contents of two sets. */
void prefixes_swap(struct prefixes *a, struct prefixes *b);

/* len: 0 to 32 or 128 bits; bits behind it are ignored. 0 or -errno. */
int prefixes_add(struct prefixes *prefixes, uint8_t family, const uint8_t *address, unsigned len);

/* The first len bits of an address, zeros behind them. len: 0 to 32 or 128. */
void prefix_cut(const uint8_t *address, unsigned len, uint8_t cut[static 16]);

/* Adds what is in from. 0 or -errno. */
int prefixes_add_all(struct prefixes *to, const struct prefixes *from);

bool prefixes_contain(const struct prefixes *prefixes, uint8_t family, const uint8_t address[16]);

#endif
