/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sink/segment and sink/spool: files as a tap may find them. The input: u8 files, and for each
 * command what stands in it: a header, records with a right or wrong checksum, rubbish; then what
 * is done with the spool: frames put, committed, read, claimed, settled. Checked: each frame that
 * is handed out was in a file or was put, and the counts.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "fuzz.h"
#include "heard.h"
#include "sink/files.h"
#include "sink/queue.h"
#include "sink/segment.h"
#include "sink/spool.h"

enum { LARGE_MAX = 1, FILES_MAX = 6, COMMANDS_MAX = 200, FILE_MAX = 1 << 20, PARTS_MAX = 40 };
enum part { HEADER, RECORD, BAD_RECORD, BYTES, LARGE, END, PARTS };
enum command { PUT, COMMIT, READ, CLAIM, DELIVERED, BROKEN, REOPEN, COMMANDS };

static struct heard heard;
static char folder[200];     /* of this process, made at its first input */
static char inner[PATH_MAX]; /* the one sink's own in it */

static const struct sink_url url = {.kind = SINK_UNIX, .target = "/run/x", .text = "/run/x"};
static const uint8_t key[HEARD_KEY_MAX];

struct run {
	struct segment_crc crc;
	struct spool *spool;
	struct spool_cursor at; /* what was read, not yet claimed */
	int large;              /* records, of which there are few so that a run stays short */
};

static void remove_files(void)
{
	DIR *dir = *inner ? opendir(inner) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

static void remove_folder(void)
{
	remove_files();
	rmdir(inner);
	rmdir(folder);
}

static struct spool *open_spool(void)
{
	char hint[300] = "";
	struct spool *spool;

	FUZZ_CHECK(!spool_new(&files_plain, folder, &url, SINK_SPOOL_MIN, &spool, hint,
		sizeof(hint)));
	return spool;
}

/* Lets the room make its folder, and finds out its name. */
static void make_folder(void)
{
	const char *where = getenv("TMPDIR");
	DIR *dir;
	struct dirent *entry;

	FUZZ_CHECK(snprintf(folder, sizeof(folder), "%s/fuzz-spool-XXXXXX",
			   where ? where : "/tmp") < (int)sizeof(folder));
	FUZZ_CHECK(mkdtemp(folder));
	spool_free(open_spool());
	dir = opendir(folder);
	FUZZ_CHECK(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(inner, sizeof(inner), "%s/%s", folder, entry->d_name);
	closedir(dir);
	FUZZ_CHECK(*inner);
	atexit(remove_folder);
}

static void put_record(struct run *r, struct script *s, FILE *to, enum part part)
{
	uint16_t len = script_u16(s);
	size_t have;
	const uint8_t *bytes = script_bytes(s, len & 0xfff, &have);
	uint8_t *record = malloc(SEGMENT_RECORD + have);

	FUZZ_CHECK(record);
	segment_put(&r->crc, record, bytes, have);
	if (part == BAD_RECORD)
		record[len % (SEGMENT_RECORD + have)] ^= 1;
	else
		heard_add(&heard, key, 0, bytes, (uint32_t)have);
	FUZZ_CHECK(fwrite(record, SEGMENT_RECORD + have, 1, to) == 1);
	free(record);
}

/* A record longer than is read at once. */
static void put_large(struct run *r, struct script *s, FILE *to)
{
	size_t len = r->large++ < LARGE_MAX ? QUEUE_ITEM_MAX - script_u8(s) : 1;
	uint8_t *bytes = malloc(len), *record = malloc(SEGMENT_RECORD + len);

	FUZZ_CHECK(bytes && record);
	memset(bytes, script_u8(s), len);
	segment_put(&r->crc, record, bytes, len);
	heard_add(&heard, key, 0, bytes, (uint32_t)len);
	FUZZ_CHECK(fwrite(record, SEGMENT_RECORD + len, 1, to) == 1);
	free(bytes);
	free(record);
}

static void put_header(struct script *s, FILE *to)
{
	static const char magic[8] = "DTSPOOL1";
	uint64_t fields[3];

	for (int i = 0; i < 3; i++) {
		int8_t field = (int8_t)script_u8(s);

		fields[i] = field < 0 ? UINT64_MAX + field : (uint64_t)field;
	}
	if (!fields[0])
		fields[0] = SEGMENT_HEADER;
	FUZZ_CHECK(fwrite(magic, sizeof(magic), 1, to) == 1);
	FUZZ_CHECK(fwrite(fields, sizeof(fields), 1, to) == 1);
}

static void make_file(struct run *r, struct script *s, unsigned int number)
{
	char path[PATH_MAX + 32];
	FILE *to;

	snprintf(path, sizeof(path), "%s/%016x.seg", inner, number);
	to = fopen(path, "we");
	FUZZ_CHECK(to);
	for (int i = 0; i < PARTS_MAX && s->left; i++) {
		enum part part = script_u8(s) % PARTS;
		const uint8_t *bytes;
		size_t len;

		if (part == END)
			break;
		switch (part) {
		case HEADER:
			put_header(s, to);
			break;
		case RECORD:
		case BAD_RECORD:
			put_record(r, s, to, part);
			break;
		case LARGE:
			put_large(r, s, to);
			break;
		default:
			bytes = script_bytes(s, script_u8(s), &len);
			FUZZ_CHECK(fwrite(bytes, 1, len, to) == len);
		}
	}
	fclose(to);
}

static bool is_heard(const void *bytes, size_t len)
{
	for (size_t i = 0; i < heard.count; i++)
		if (heard.pieces[i].len == len && !memcmp(heard.pieces[i].bytes, bytes, len))
			return true;
	return false;
}

static void read_some(struct run *r, uint8_t count)
{
	const void *bytes;
	size_t len;

	if (r->at.frame < spool_oldest(r->spool).frame)
		r->at = spool_oldest(r->spool);
	while (count-- && spool_next(r->spool, &r->at, &bytes, &len)) {
		uint8_t *copy = fuzz_copy(bytes, len);

		fuzz_free(copy);
	}
}

static void check_frames(struct run *r)
{
	struct spool_cursor at = spool_oldest(r->spool);
	const void *bytes;
	size_t len;

	while (spool_next(r->spool, &at, &bytes, &len))
		FUZZ_CHECK(is_heard(bytes, len));
	/* or a sender would try and try */
	FUZZ_CHECK(at.frame > spool_oldest(r->spool).frame || spool_empty(r->spool));
}

static void put_frame(struct run *r, struct script *s)
{
	size_t len;
	const uint8_t *bytes = script_bytes(s, 1 + script_u8(s), &len);

	if (!len || !spool_put(r->spool, bytes, len))
		return;
	heard_add(&heard, key, 0, bytes, (uint32_t)len);
}

static void settle(struct run *r, bool delivered, uint8_t unsent)
{
	spool_settle(r->spool, delivered, unsent);
	r->at = spool_oldest(r->spool);
}

static void take_command(struct run *r, struct script *s)
{
	switch ((enum command)(script_u8(s) % COMMANDS)) {
	case PUT:
		put_frame(r, s);
		break;
	case COMMIT:
		FUZZ_CHECK(!spool_commit(r->spool));
		r->at = spool_oldest(r->spool);
		break;
	case READ:
		read_some(r, script_u8(s));
		break;
	case CLAIM:
		spool_claim(r->spool, &r->at);
		break;
	case DELIVERED:
		settle(r, true, 0);
		break;
	case BROKEN:
		settle(r, false, script_u8(s) & 1);
		break;
	case REOPEN:
		spool_free(r->spool);
		r->spool = open_spool();
		r->at = spool_oldest(r->spool);
		break;
	case COMMANDS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = {data, size};
	struct run r = {0};
	unsigned int files = script_u8(&s) % FILES_MAX;

	if (!*folder)
		make_folder();
	segment_crc_init(&r.crc);
	for (unsigned int i = 0; i < files; i++)
		make_file(&r, &s, i + 1);
	r.spool = open_spool();
	r.at = spool_oldest(r.spool);
	for (int i = 0; s.left && i < COMMANDS_MAX; i++)
		take_command(&r, &s);
	settle(&r, false, 0);
	check_frames(&r);
	spool_free(r.spool);
	remove_files();
	heard_free(&heard);
	return 0;
}
