/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * In place of malloc, calloc and free (--wrap): a large block that is given back waits, poisoned,
 * for the next input that wants one of its size. To have the sanitizer map and unmap it for each
 * input costs many times what the input does. What is read in it before it is written is no more
 * determined than elsewhere, and what is touched after free is found as elsewhere.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fuzz.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, len)   ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

enum {
	LARGE = 64 << 10, /* bytes */
	UNSET = 0xbe,
	BLOCKS_MAX = 64, /* more than any harness has at a time: a leak would get there */
};

static struct block {
	void *at;
	size_t size;
	bool taken;
} blocks[BLOCKS_MAX];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of blocks: sinks have threads */

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_calloc(size_t count, size_t size);
void __wrap_free(void *at);
void __real_free(void *at);

/* One that waits, else an empty place; only what nobody wants any more may have to make room. */
static struct block *find(size_t size)
{
	struct block *room = NULL;

	for (struct block *block = blocks; block < blocks + BLOCKS_MAX; block++) {
		if (block->taken)
			continue;
		if (block->size == size)
			return block;
		if (!room || !block->at)
			room = block;
	}
	FUZZ_CHECK(room);
	return room;
}

static void *take(size_t size, int byte)
{
	struct block *block;
	void *at;

	pthread_mutex_lock(&lock);
	block = find(size);
	if (block->size != size) {
		__real_free(block->at);
		*block = (struct block){__real_malloc(size), size, false};
		FUZZ_CHECK(block->at);
	}
	block->taken = true;
	at = block->at;
	pthread_mutex_unlock(&lock);
	ASAN_UNPOISON_MEMORY_REGION(at, size);
	memset(at, byte, size);
	return at;
}

void *__wrap_malloc(size_t size)
{
	return size < LARGE ? __real_malloc(size) : take(size, UNSET);
}

void *__wrap_calloc(size_t count, size_t size)
{
	if (!count || size > SIZE_MAX / count || count * size < LARGE)
		return __real_calloc(count, size);
	return take(count * size, 0);
}

/* False if it was none of these. */
static bool give(void *at)
{
	bool ours = false;

	pthread_mutex_lock(&lock);
	for (struct block *block = blocks; !ours && block < blocks + BLOCKS_MAX; block++) {
		if (block->at != at)
			continue;
		FUZZ_CHECK(block->taken);
		ASAN_POISON_MEMORY_REGION(at, block->size);
		block->taken = false;
		ours = true;
	}
	pthread_mutex_unlock(&lock);
	return ours;
}

void __wrap_free(void *at)
{
	if (at && !give(at))
		__real_free(at);
}
