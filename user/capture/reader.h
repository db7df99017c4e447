/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One CPU's ring, read in place: the perf ring buffer's pages, or a lane of the array ring
 * (bpf/record.h). Between reader_open and reader_close the records that had been published at
 * reader_open stand at `sample`, one after the other; what was stepped over is given back to the
 * kernel by reader_close, which may be called in between too. The memory is the caller's. One
 * thread.
 */
#ifndef CAPTURE_READER_H
#define CAPTURE_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "record.h"

/* Room for one perf sample that wraps around the end of its ring. */
enum { READER_SAMPLE_MAX = 65536 };

struct perf_event_mmap_page;

struct reader {
	struct perf_event_mmap_page *page; /* NULL: a lane */
	struct kernel_counts *ends;        /* of a lane */
	const uint8_t *data;
	uint64_t mask;         /* data size - 1; of a lane, in chunks */
	uint64_t head, tail;   /* bytes; the kernel writes up to head, we have read up to tail */
	uint64_t published;    /* head as seen last */
	uint64_t time;         /* of the sample at tail; UINT64_MAX: none */
	const uint8_t *sample; /* a record; NULL: none at hand */
	uint32_t sample_size;  /* of the record */
	uint32_t event_size;   /* of all that it takes in the ring */
	uint8_t *wrapped;      /* READER_SAMPLE_MAX bytes; a lane needs none */
};

/* all: the program does not run any more, so nothing is left for the next time. */
void reader_open(struct reader *reader, bool all);
/* True when there is a sample at the tail. */
bool reader_peek(struct reader *reader);
void reader_step(struct reader *reader);
void reader_close(struct reader *reader);
/* True when something was published that this drain may not take yet. */
bool reader_behind(const struct reader *reader);

/* Of the whole ring, and what the kernel has written of it so far, bytes. */
uint64_t reader_size(const struct reader *reader);
uint64_t reader_published(const struct reader *reader);

#endif
