/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sink/queue.h"
#include "sink/segment.h"
#include "sink/spool_folder.h"

enum {
	PUT_SIZE = QUEUE_ITEM_MAX + SEGMENT_RECORD,
	READ_SIZE = 2 * PUT_SIZE,
};

struct spool {
	struct segment_crc crc;
	struct spool_folder folder;
	uint64_t size, part; /* bytes: of all, and after which a segment is full */

	struct segment *segments; /* the oldest first */
	size_t count;
	int write_fd; /* of the newest; -1: the next commit begins one */
	uint64_t next_number;
	uint64_t total; /* bytes of all segments */

	uint64_t first, end;
	uint64_t sent; /* those before it were sent on some connection */
	struct spool_cursor next;

	size_t put_len;
	uint64_t put_frames;
	uint64_t read_segment, read_offset; /* what the read buffer holds; 0: nothing */
	size_t read_len;
	int trouble; /* -errno that spool_next met last */
	struct spool_counts counts;
	uint8_t put[PUT_SIZE];
	uint8_t read[READ_SIZE];
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static struct segment *newest(struct spool *s)
{
	return &s->segments[s->count - 1];
}

static void end_writing(struct spool *s)
{
	if (s->write_fd >= 0)
		close(s->write_fd);
	s->write_fd = -1;
}

/* Where sending stands when it starts over. */
static struct spool_cursor at_first(const struct spool *s)
{
	struct spool_cursor at = {.frame = s->first};

	if (s->count) {
		at.segment = s->segments[0].number;
		at.offset = s->segments[0].released;
	}
	return at;
}

static void forget_oldest(struct spool *s)
{
	const struct segment *oldest = &s->segments[0];

	if (s->count == 1)
		end_writing(s);
	if (s->read_segment == oldest->number)
		s->read_len = 0;
	s->total -= oldest->size;
	s->first += oldest->frames - oldest->released_frames;
	segment_remove(&s->folder, oldest->number);
	memmove(s->segments, s->segments + 1, --s->count * sizeof(*s->segments));
}

/* What was sent on the open connection is not given up: FINISH decides. */
static void give_up_oldest(struct spool *s)
{
	const uint64_t from = larger(s->first, s->next.frame);
	uint64_t sent = 0;

	forget_oldest(s);
	if (s->first <= from)
		return;
	if (s->sent > from)
		sent = smaller(s->sent, s->first) - from;
	s->counts.given_up_sent += sent;
	s->counts.given_up += s->first - from - sent;
	s->next = at_first(s);
}

bool spool_put(struct spool *s, const void *bytes, size_t len)
{
	if (s->put_len + SEGMENT_RECORD + len > sizeof(s->put))
		return false;
	segment_put(&s->crc, s->put + s->put_len, bytes, len);
	s->put_len += SEGMENT_RECORD + len;
	s->put_frames++;
	return true;
}

static int begin_segment(struct spool *s)
{
	struct segment new = {
		.number = s->next_number, .released = SEGMENT_HEADER, .size = SEGMENT_HEADER};
	int fd = segment_open(&s->folder, new.number, O_RDWR | O_CREAT | O_EXCL), rc;

	if (fd < 0)
		return fd;
	s->next_number++;
	rc = segment_write_header(fd, &new, false);
	if (rc) {
		close(fd);
		segment_remove(&s->folder, new.number);
		return rc;
	}
	s->write_fd = fd;
	s->segments[s->count++] = new;
	s->total += new.size;
	return 0;
}

static int write_put(struct spool *s)
{
	struct segment *to = newest(s);
	int rc = segment_pwrite(s->write_fd, s->put, s->put_len, to->size);

	/* what stays behind the end is written over, or cut off at the next start */
	if (rc)
		return ftruncate(s->write_fd, (off_t)to->size) ? -errno : rc;
	to->size += s->put_len;
	to->frames += s->put_frames;
	s->total += s->put_len;
	s->end += s->put_frames;
	return 0;
}

int spool_commit(struct spool *s)
{
	int rc = 0;

	if (!s->put_frames)
		return 0;
	if (s->write_fd >= 0 && newest(s)->size + s->put_len > s->part) {
		rc = segment_write_header(s->write_fd, newest(s), true);
		end_writing(s);
	}
	while (s->count &&
		(s->total + SEGMENT_HEADER + s->put_len > s->size || s->count == SPOOL_SEGMENTS))
		give_up_oldest(s);
	if (!rc && s->write_fd < 0)
		rc = begin_segment(s);
	if (!rc)
		rc = write_put(s);
	s->put_len = 0;
	s->put_frames = 0;
	return rc;
}

bool spool_empty(const struct spool *s)
{
	return s->next.frame == s->end;
}

struct spool_cursor spool_oldest(const struct spool *s)
{
	return s->next;
}

/*
 * The segment that holds what is at the cursor, which is moved to where that begins; or NULL. One
 * whose header has counted more or fewer records than it has is *ret_wrong where that shows.
 */
static const struct segment *find(
	const struct spool *s, struct spool_cursor *at, bool *ret_wrong)
{
	uint64_t end = s->first;

	*ret_wrong = false;
	for (size_t i = 0; i < s->count; i++) {
		const struct segment *segment = &s->segments[i];

		end += segment->frames - segment->released_frames;
		if (segment->number < at->segment)
			continue;
		if (segment->number > at->segment) {
			at->segment = segment->number;
			at->offset = segment->released;
		}
		*ret_wrong = (at->offset < segment->size) != (at->frame < end);
		if (at->offset < segment->size || *ret_wrong)
			return segment;
	}
	return NULL;
}

static int from_buffer(const struct spool *s, const struct spool_cursor *at, const void **ret_bytes,
	size_t *ret_len)
{
	uint64_t skip = at->offset - s->read_offset;

	if (s->read_segment != at->segment || at->offset < s->read_offset || skip >= s->read_len)
		return -EAGAIN;
	return segment_get(&s->crc, s->read + skip, s->read_len - skip, ret_bytes, ret_len);
}

static int fill_buffer(
	struct spool *s, const struct segment *segment, const struct spool_cursor *at)
{
	int fd = segment_open(&s->folder, segment->number, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = segment_pread(
		fd, s->read, smaller(sizeof(s->read), segment->size - at->offset), at->offset);
	close(fd);
	if (n < 0)
		return (int)n;
	s->read_segment = segment->number;
	s->read_offset = at->offset;
	s->read_len = (size_t)n;
	return 0;
}

/* A segment that cannot be read is given up, once all before it has been handed out. */
static void give_up_damaged(struct spool *s, uint64_t number)
{
	s->counts.torn++;
	while (s->count && s->segments[0].number <= number)
		give_up_oldest(s);
}

/* Not the segment's fault: it can be read another time. */
static bool is_passing(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

bool spool_next(struct spool *s, struct spool_cursor *at, const void **ret_bytes, size_t *ret_len)
{
	const struct segment *segment;
	bool wrong;
	int rc;

	s->trouble = 0;
	while (at->frame < s->end && (segment = find(s, at, &wrong))) {
		rc = wrong ? -EBADMSG : from_buffer(s, at, ret_bytes, ret_len);
		if (rc == -EAGAIN) {
			rc = fill_buffer(s, segment, at);
			if (!rc)
				rc = from_buffer(s, at, ret_bytes, ret_len);
		}
		if (!rc) {
			at->frame++;
			at->offset += SEGMENT_RECORD + *ret_len;
			return true;
		}
		if (is_passing(rc))
			s->trouble = rc;
		if (is_passing(rc) || at->frame > s->next.frame)
			return false;
		give_up_damaged(s, segment->number);
		*at = s->next;
	}
	return false;
}

int spool_trouble(const struct spool *s)
{
	return s->trouble;
}

void spool_claim(struct spool *s, const struct spool_cursor *upto)
{
	if (s->sent > s->next.frame)
		s->counts.resent += smaller(s->sent, upto->frame) - s->next.frame;
	s->next = *upto;
}

uint64_t spool_size(const struct spool *s)
{
	return s->size;
}

uint64_t spool_used(const struct spool *s)
{
	return s->total;
}

uint64_t spool_claimed(const struct spool *s)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < s->count && s->segments[i].number <= s->next.segment; i++) {
		const struct segment *segment = &s->segments[i];

		bytes += segment->number < s->next.segment ? segment->size : s->next.offset;
		bytes -= segment->released;
	}
	return bytes;
}

/* The header says what is delivered, so that a kill sends little of it again. */
static void note_released(struct spool *s)
{
	struct segment *oldest = &s->segments[0];
	const bool writing = s->count == 1 && s->write_fd >= 0;
	int fd = writing ? s->write_fd : segment_open(&s->folder, oldest->number, O_WRONLY);

	oldest->released_frames += s->next.frame - s->first;
	oldest->released = s->next.offset;
	s->first = s->next.frame;
	if (fd >= 0)
		segment_write_header(fd, oldest, !writing);
	if (fd >= 0 && !writing)
		close(fd);
}

static void release(struct spool *s)
{
	while (s->count &&
		s->first + s->segments[0].frames - s->segments[0].released_frames <= s->next.frame)
		forget_oldest(s);
	if (s->count && s->first < s->next.frame)
		note_released(s);
	s->next = at_first(s);
}

uint64_t spool_settle(struct spool *s, bool delivered, uint64_t unsent)
{
	uint64_t kept = s->next.frame - s->first;
	uint64_t back = smaller(unsent, kept);

	if (delivered) {
		release(s);
		return 0;
	}
	s->sent = larger(s->sent, s->next.frame - back);
	s->counts.given_up += unsent - back;
	s->next = at_first(s);
	return kept - back;
}

const struct spool_counts *spool_counts(const struct spool *s)
{
	return &s->counts;
}

static int recover_segment(struct spool *s, uint64_t number)
{
	struct segment segment;
	bool torn;
	int rc = segment_read(&s->crc, &s->folder, number, &segment, &torn);

	if (rc && rc != -EBADMSG)
		return rc;
	s->counts.torn += torn || rc;
	s->next_number = number + 1;
	if (rc || segment.frames == segment.released_frames) {
		segment_remove(&s->folder, number);
		return 0;
	}
	if (s->count == SPOOL_SEGMENTS)
		give_up_oldest(s);
	s->segments[s->count++] = segment;
	s->total += segment.size;
	s->end += segment.frames - segment.released_frames;
	return 0;
}

static int recover(struct spool *s)
{
	uint64_t *numbers;
	size_t count;
	int rc = spool_folder_list(&s->folder, &numbers, &count);

	for (size_t i = 0; i < count && !rc; i++)
		rc = recover_segment(s, numbers[i]);
	free(numbers);
	s->counts.recovered = s->end;
	s->next = at_first(s);
	return rc;
}

int spool_new(const struct sink_files *files, const char *folder, const struct sink_url *url,
	uint64_t size, struct spool **ret, char *hint, size_t hint_size)
{
	struct spool *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->folder.lock = s->write_fd = -1;
	s->size = size;
	s->part = size / SPOOL_PARTS;
	s->next_number = 1;
	segment_crc_init(&s->crc);
	s->segments = calloc(SPOOL_SEGMENTS, sizeof(*s->segments));
	rc = s->segments ? spool_folder_open(&s->folder, files, folder, url, hint, hint_size)
			 : -ENOMEM;
	if (!rc)
		rc = recover(s);
	if (rc)
		spool_free(s);
	else
		*ret = s;
	return rc;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	end_writing(s);
	spool_folder_close(&s->folder);
	free(s->segments);
	free(s);
}
