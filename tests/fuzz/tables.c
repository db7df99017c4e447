/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of two functions (--wrap): tables are small, so that they are made quickly and get full,
 * and all have one secret, so that an input always does the same.
 */
#include <stddef.h>
#include <sys/types.h>

#include "base/table.h"

enum { CAPACITY_MAX = 96 };

ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned int flags);
struct table *__wrap_table_new(size_t capacity, size_t key_size, size_t entry_size);
struct table *__real_table_new(size_t capacity, size_t key_size, size_t entry_size);

ssize_t __wrap_getrandom(void *bytes, size_t len, unsigned int flags)
{
	(void)flags;
	for (size_t i = 0; i < len; i++)
		((unsigned char *)bytes)[i] = (unsigned char)(i * 167 + 13);
	return (ssize_t)len;
}

struct table *__wrap_table_new(size_t capacity, size_t key_size, size_t entry_size)
{
	return __real_table_new(
		capacity < CAPACITY_MAX ? capacity : CAPACITY_MAX, key_size, entry_size);
}
