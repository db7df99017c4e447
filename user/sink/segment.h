/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One file of a spool: a header, then records of u32 length, u32 CRC-32C of length and bytes, and
 * the bytes; all in the order of this machine. The header says up to where the records are
 * delivered, and once the file is full how many there are; a file that was being written when the
 * tap was killed says nothing of that and is scanned. What follows the last record whose CRC is
 * right was cut off and is no part of the file.
 *
 * Threads: one at a time.
 */
#ifndef SINK_SEGMENT_H
#define SINK_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct spool_folder;

enum {
	SEGMENT_HEADER = 32,
	SEGMENT_RECORD = 8, /* bytes in front of each record's own */
	SEGMENT_NAME_MAX = 24,
};

struct segment {
	uint64_t number;          /* its name; older ones have lower numbers */
	uint64_t released;        /* where the first record that is not delivered begins */
	uint64_t released_frames; /* records before it */
	uint64_t frames;          /* all records */
	uint64_t size;            /* bytes up to the end of the last record */
};

/* CRC-32C a byte at a time. */
struct segment_crc {
	uint32_t table[256];
};
void segment_crc_init(struct segment_crc *crc);
uint32_t segment_crc(const struct segment_crc *crc, uint32_t before, const void *bytes, size_t len);

/* Writes a record to `to`, which has room for SEGMENT_RECORD + len. */
void segment_put(const struct segment_crc *crc, uint8_t *to, const void *bytes, size_t len);
/* The record at `at`: its bytes, -EAGAIN when it is not whole, -EBADMSG when it is damaged. */
int segment_get(const struct segment_crc *crc, const uint8_t *at, size_t have,
	const void **ret_bytes, size_t *ret_len);

/* All by number in the folder: a descriptor, or -errno. */
int segment_open(const struct spool_folder *folder, uint64_t number, int flags);
int segment_remove(const struct spool_folder *folder, uint64_t number);
/* True for the name of a segment. */
bool segment_number(const char *name, uint64_t *ret);

/* All of it, whatever interrupts: the bytes there are up to the file's end, or -errno. */
ssize_t segment_pread(int fd, void *bytes, size_t len, uint64_t at);
/* 0 or -errno, then part of it may be written. */
int segment_pwrite(int fd, const void *bytes, size_t len, uint64_t at);

/* full: no record will follow, and the number of frames is noted. 0 or -errno. */
int segment_write_header(int fd, const struct segment *segment, bool full);
/*
 * Reads what the segment of that number holds. 0 or -errno; -EBADMSG: it is no segment. *ret_torn:
 * something stood behind the last good record.
 */
int segment_read(const struct segment_crc *crc, const struct spool_folder *folder, uint64_t number,
	struct segment *ret, bool *ret_torn);

#endif
