/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/queue.h"
#include "sink/spool_folder.h"

static const char magic[8] = {'D', 'T', 'S', 'P', 'O', 'O', 'L', '1'};

struct header {
	char magic[8];
	uint64_t released, released_frames;
	uint64_t frames; /* 0: not full, count them */
};
_Static_assert(sizeof(struct header) == SEGMENT_HEADER, "the header has no gaps");

enum {
	SCAN_SIZE = 2 * QUEUE_ITEM_MAX,
	SEGMENT_PATH_MAX = SPOOL_FOLDER_MAX + SEGMENT_NAME_MAX,
};

void segment_crc_init(struct segment_crc *crc)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
		crc->table[i] = c;
	}
}

uint32_t segment_crc(const struct segment_crc *crc, uint32_t before, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint32_t c = ~before;

	while (len--)
		c = c >> 8 ^ crc->table[(c ^ *at++) & 0xff];
	return ~c;
}

static uint32_t crc_of(const struct segment_crc *crc, const void *bytes, uint32_t len)
{
	return segment_crc(crc, segment_crc(crc, 0, &len, sizeof(len)), bytes, len);
}

void segment_put(const struct segment_crc *crc, uint8_t *to, const void *bytes, size_t len)
{
	const uint32_t head[2] = {(uint32_t)len, crc_of(crc, bytes, (uint32_t)len)};

	memcpy(to, head, sizeof(head));
	memcpy(to + sizeof(head), bytes, len);
}

int segment_get(const struct segment_crc *crc, const uint8_t *at, size_t have,
	const void **ret_bytes, size_t *ret_len)
{
	uint32_t head[2];

	if (have < sizeof(head))
		return -EAGAIN;
	memcpy(head, at, sizeof(head));
	if (!head[0] || head[0] > QUEUE_ITEM_MAX)
		return -EBADMSG;
	if (have - sizeof(head) < head[0])
		return -EAGAIN;
	if (crc_of(crc, at + sizeof(head), head[0]) != head[1])
		return -EBADMSG;
	*ret_bytes = at + sizeof(head);
	*ret_len = head[0];
	return 0;
}

static void name_of(uint64_t number, char ret[SEGMENT_NAME_MAX])
{
	snprintf(ret, SEGMENT_NAME_MAX, "%016" PRIx64 ".seg", number);
}

static void path_of(
	const struct spool_folder *folder, uint64_t number, char ret[static SEGMENT_PATH_MAX])
{
	char name[SEGMENT_NAME_MAX];

	name_of(number, name);
	snprintf(ret, SEGMENT_PATH_MAX, "%s/%s", folder->path, name);
}

int segment_open(const struct spool_folder *folder, uint64_t number, int flags)
{
	char path[SEGMENT_PATH_MAX];

	path_of(folder, number, path);
	return folder->files->open(folder->files->arg, path, flags | O_CLOEXEC, 0600);
}

int segment_remove(const struct spool_folder *folder, uint64_t number)
{
	char path[SEGMENT_PATH_MAX];

	path_of(folder, number, path);
	return folder->files->unlink(folder->files->arg, path);
}

bool segment_number(const char *name, uint64_t *ret)
{
	char again[SEGMENT_NAME_MAX], *end;

	*ret = strtoull(name, &end, 16);
	name_of(*ret, again);
	return !strcmp(name, again);
}

ssize_t segment_pread(int fd, void *bytes, size_t len, uint64_t at)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < len && n > 0) {
		n = pread(fd, (uint8_t *)bytes + done, len - done, (off_t)(at + done));
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	return n < 0 ? -errno : (ssize_t)done;
}

int segment_pwrite(int fd, const void *bytes, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(
			fd, (const uint8_t *)bytes + done, len - done, (off_t)(at + done));

		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return n == 0 ? -ENOSPC : -errno;
	}
	return 0;
}

int segment_write_header(int fd, const struct segment *segment, bool full)
{
	struct header header = {
		.released = segment->released,
		.released_frames = segment->released_frames,
		.frames = full ? segment->frames : 0,
	};

	memcpy(header.magic, magic, sizeof(header.magic));
	return segment_pwrite(fd, &header, sizeof(header), 0);
}

/* Goes over the records until the first that is not good. */
static int scan(const struct segment_crc *crc, int fd, struct segment *segment)
{
	uint8_t *buffer = malloc(SCAN_SIZE);
	const void *bytes;
	ssize_t have;
	size_t len, at;

	if (!buffer)
		return -ENOMEM;
	do {
		have = segment_pread(fd, buffer, SCAN_SIZE, segment->size);
		at = 0;
		while (have > 0 &&
			!segment_get(crc, buffer + at, (size_t)have - at, &bytes, &len)) {
			at += SEGMENT_RECORD + len;
			segment->frames++;
			if (segment->size + at <= segment->released)
				segment->released_frames = segment->frames;
		}
		segment->size += at;
	} while (have > 0 && at > 0);
	free(buffer);
	return have < 0 ? (int)have : 0;
}

static int read_header(int fd, struct segment *ret, bool *ret_full)
{
	struct header header;
	ssize_t n = segment_pread(fd, &header, sizeof(header), 0);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)sizeof(header) || memcmp(header.magic, magic, sizeof(magic)) ||
		header.released < SEGMENT_HEADER)
		return -EBADMSG;
	ret->released = header.released;
	ret->released_frames = header.released_frames;
	ret->frames = header.frames;
	*ret_full = header.frames > 0;
	return 0;
}

/* A header that survived what its records did not, or that was damaged itself, is not believed. */
static bool may_hold(uint64_t size, uint64_t frames)
{
	return size >= SEGMENT_HEADER && frames <= (size - SEGMENT_HEADER) / (SEGMENT_RECORD + 1);
}

int segment_read(const struct segment_crc *crc, const struct spool_folder *folder, uint64_t number,
	struct segment *ret, bool *ret_torn)
{
	int fd = segment_open(folder, number, O_RDONLY), rc;
	struct stat status;
	bool full = false;

	*ret = (struct segment){.number = number, .size = SEGMENT_HEADER};
	*ret_torn = false;
	if (fd < 0)
		return fd;
	rc = fstat(fd, &status) ? -errno : read_header(fd, ret, &full);
	if (!rc && full && may_hold((uint64_t)status.st_size, ret->frames)) {
		ret->size = (uint64_t)status.st_size;
	} else if (!rc) {
		ret->frames = ret->released_frames = 0;
		rc = scan(crc, fd, ret);
	}
	if (!rc)
		*ret_torn = ret->size < (uint64_t)status.st_size;
	if (!rc && (ret->released > ret->size || ret->released_frames > ret->frames))
		rc = -EBADMSG;
	close(fd);
	return rc;
}
