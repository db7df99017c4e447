/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frames of one sink on disk: first in, first out, bounded in bytes, in segment files that are
 * there again after a restart or a kill of the tap. A frame is in the spool until the connection
 * it was sent on has ended with FINISH; on a connection that ended otherwise it is sent again. When
 * the room is used up the oldest segment is given up, whole.
 *
 * What is on disk survives the tap, not a power failure: nothing is synced. A record that was cut
 * off is dropped and counted, and a frame is never handed out unless its CRC is right.
 *
 * Frames are numbered: first <= next <= end. Those before next were sent on the open connection
 * (or claimed for it), the others wait. Bounds: the size, SPOOL_SEGMENTS files. Ownership: a folder
 * of its own for each sink, locked against a second tap. Threads: one at a time.
 */
#ifndef SINK_SPOOL_H
#define SINK_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/files.h"
#include "sink/url.h"

enum { SPOOL_PARTS = 16, SPOOL_SEGMENTS = 4096 };

/* All only grow. */
struct spool_counts {
	uint64_t recovered;     /* frames found at the start */
	uint64_t torn;          /* segments found with something cut off or damaged */
	uint64_t given_up;      /* frames that were never sent */
	uint64_t given_up_sent; /* frames sent on a connection that had broken by then */
	uint64_t resent;        /* frames sent once more */
};

struct spool_cursor {
	uint64_t frame;
	uint64_t segment; /* number */
	uint64_t offset;
};

struct spool;

/* size: bytes, SINK_SPOOL_MIN to SINK_SPOOL_MAX. 0 or -errno, then hint may hold why. */
int spool_new(const struct sink_files *files, const char *folder, const struct sink_url *url,
	uint64_t size, struct spool **ret, char *hint, size_t hint_size);
void spool_free(struct spool *spool);

/* Takes a frame into memory; false: commit first. */
bool spool_put(struct spool *spool, const void *bytes, size_t len);
/* Writes what was put. 0 or -errno: then nothing of it is in the spool. */
int spool_commit(struct spool *spool);

/* True when nothing waits to be sent. */
bool spool_empty(const struct spool *spool);
/* The oldest that waits. */
struct spool_cursor spool_oldest(const struct spool *spool);
/* The frame at the cursor, which moves behind it; false: none. Valid until the next call. */
bool spool_next(
	struct spool *spool, struct spool_cursor *at, const void **ret_bytes, size_t *ret_len);
/* After a false: why it cannot be read just now, -errno; 0: there is none, or all can be had. */
int spool_trouble(const struct spool *spool);
/* All before the cursor now belong to the open connection. */
void spool_claim(struct spool *spool, const struct spool_cursor *upto);

uint64_t spool_size(const struct spool *spool);
/* Bytes of its files. */
uint64_t spool_used(const struct spool *spool);
/* Bytes that wait for the open connection's FINISH. */
uint64_t spool_claimed(const struct spool *spool);
/*
 * The connection has ended. delivered: its frames leave the spool. Else those that are still there
 * wait again; their number is returned. The last `unsent` of them were claimed and not sent.
 */
uint64_t spool_settle(struct spool *spool, bool delivered, uint64_t unsent);

const struct spool_counts *spool_counts(const struct spool *spool);

#endif
