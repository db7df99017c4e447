/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/spool_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/segment.h"

enum { FOLDER_NAME_MAX = 120 };

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int add_number(uint64_t number, uint64_t **numbers, size_t *count, size_t *room)
{
	if (*count == *room) {
		size_t wanted = 2 * *room + 64;
		uint64_t *more = realloc(*numbers, wanted * sizeof(*more));

		if (!more)
			return -ENOMEM;
		*numbers = more;
		*room = wanted;
	}
	(*numbers)[(*count)++] = number;
	return 0;
}

/* A folder half read would be one with files missing. */
static int read_numbers(DIR *dir, uint64_t **ret, size_t *ret_count)
{
	size_t room = 0;
	struct dirent *entry;
	uint64_t number;
	int rc = 0;

	errno = 0;
	while (!rc && (entry = readdir(dir))) {
		if (segment_number(entry->d_name, &number))
			rc = add_number(number, ret, ret_count, &room);
		errno = 0;
	}
	return rc ? rc : -errno;
}

int spool_folder_list(int folder, uint64_t **ret, size_t *ret_count)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	DIR *dir;

	*ret = NULL;
	*ret_count = 0;
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	rc = read_numbers(dir, ret, ret_count);
	closedir(dir);
	if (!rc && *ret_count)
		qsort(*ret, *ret_count, sizeof(**ret), by_number);
	return rc;
}

/* A folder for each sink, by its kind and target, so that other options do not make another. */
static void name_folder(const struct sink_url *url, char *ret, size_t size)
{
	char text[SINK_TEXT_MAX + 64];
	struct segment_crc crc;
	uint32_t hash;
	int len = snprintf(text, sizeof(text), "%d %s %u %d", (int)url->kind, url->target,
		url->port, url->full);

	segment_crc_init(&crc);
	hash = segment_crc(&crc, 0, text, (size_t)len);
	snprintf(ret, size, "%.80s-%08x", url->target, hash);
	for (char *at = ret; *at; at++) {
		if (*at == '/' || (*at == '.' && at == ret))
			*at = '_';
	}
}

static int make_folder(const char *path, int at)
{
	int fd;

	if (mkdirat(at, path, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int spool_folder_open(const char *folder, const struct sink_url *url, int *ret_folder,
	int *ret_lock, char *hint, size_t hint_size)
{
	char name[FOLDER_NAME_MAX];
	int above = make_folder(folder, AT_FDCWD);

	name_folder(url, name, sizeof(name));
	*ret_folder = above < 0 ? above : make_folder(name, above);
	if (above >= 0)
		close(above);
	if (*ret_folder < 0) {
		snprintf(
			hint, hint_size, "its spool in %.150s: %s", folder, strerror(-*ret_folder));
		return *ret_folder;
	}
	*ret_lock = openat(*ret_folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*ret_lock >= 0 && !flock(*ret_lock, LOCK_EX | LOCK_NB))
		return 0;
	snprintf(hint, hint_size, "its spool in %.150s: %s", folder,
		errno == EWOULDBLOCK ? "another tap has it" : strerror(errno));
	return -EBUSY;
}
