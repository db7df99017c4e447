/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of sinks that write to a path share: a folder, and what libfstrm reads back. */
#ifndef SINK_FILE_ROOM_H
#define SINK_FILE_ROOM_H

#include <fcntl.h>
#include <fstrm.h>
#include <sys/stat.h>

#include "test_sink_room.h"

static char directory[] = "/tmp/test-sink-file-XXXXXX";

static const char *in_directory(const char *name)
{
	static char path[sizeof(directory) + 32];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static inline struct sink *open_file(const char *name, const struct sink_options *options)
{
	char text[128];

	snprintf(text, sizeof(text), "file://%s", in_directory(name));
	return open_sink(text, options);
}

static inline void offer(struct sink *sink, uint64_t from, uint64_t upto)
{
	offer_frames(sink, from, upto, 2000);
}

static inline bool written(const struct sink *sink, uint64_t frames, uint64_t ms)
{
	uint64_t end = clock_monotonic() + ms * NS_PER_MS;

	while (balanced(sink).written + balanced(sink).confirmed < frames &&
		clock_monotonic() < end)
		usleep(200);
	return balanced(sink).written + balanced(sink).confirmed >= frames;
}

/* The frames from number `from` on, read by libfstrm; *ret_whole: the stream ended with STOP. */
static inline uint64_t read_back(const char *path, uint64_t from, bool *ret_whole)
{
	struct fstrm_file_options *options = fstrm_file_options_init();
	const struct fstrm_control *stop = NULL;
	struct fstrm_reader *reader;
	const uint8_t *bytes;
	uint64_t frames = 0, number;
	size_t len;

	fstrm_file_options_set_file_path(options, path);
	reader = fstrm_file_reader_init(options, NULL);
	fstrm_file_options_destroy(&options);
	assert_non_null(reader);
	while (fstrm_reader_read(reader, &bytes, &len) == fstrm_res_success) {
		memcpy(&number, bytes, sizeof(number));
		assert_int_equal(number, from + frames);
		assert_int_equal(len, 8 + number * 7919 % 1992);
		frames++;
	}
	*ret_whole =
		fstrm_reader_get_control(reader, FSTRM_CONTROL_STOP, &stop) == fstrm_res_success &&
		stop;
	fstrm_reader_destroy(&reader);
	return frames;
}

static inline void fill(const char *path, off_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(posix_fallocate(fd, 0, size), 0);
	close(fd);
}

static inline int make_directory(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return mkdtemp(directory) ? 0 : -1;
}

static inline int remove_directory(void **state)
{
	static const char *const names[] = {"whole", "empty", "socket", "fifo"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_directory(names[i]));
	return rmdir(directory);
}

#endif
