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

/* A folder that is open may be listed, whoever opened it. 0 or -errno. */
static int open_folder(const struct spool_folder *s, DIR **ret)
{
	int fd = s->files->open(s->files->arg, s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (fd < 0)
		return fd;
	*ret = fdopendir(fd);
	if (*ret)
		return 0;
	close(fd);
	return -ENOMEM;
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

int spool_folder_list(const struct spool_folder *s, uint64_t **ret, size_t *ret_count)
{
	DIR *dir;
	int rc = open_folder(s, &dir);

	*ret = NULL;
	*ret_count = 0;
	if (rc)
		return rc;
	rc = read_numbers(dir, ret, ret_count);
	closedir(dir);
	if (!rc && *ret_count)
		qsort(*ret, *ret_count, sizeof(**ret), by_number);
	return rc;
}

/*
 * A folder for each sink, by its kind and target: other options do not make another, nor does
 * `full`, which a reload may change under a sink that runs.
 */
static void name_folder(const struct sink_url *url, char *ret, size_t size)
{
	char text[SINK_TEXT_MAX + 64];
	struct segment_crc crc;
	uint32_t hash;
	int len = snprintf(text, sizeof(text), "%d %s %u", (int)url->kind, url->target, url->port);

	segment_crc_init(&crc);
	hash = segment_crc(&crc, 0, text, (size_t)len);
	snprintf(ret, size, "%.80s-%08x", url->target, hash);
	for (char *at = ret; *at; at++) {
		if (*at == '/' || (*at == '.' && at == ret))
			*at = '_';
	}
}

int spool_folder_path(const char *folder, const struct sink_url *url, char *ret, size_t size)
{
	char name[FOLDER_NAME_MAX];

	name_folder(url, name, sizeof(name));
	return (size_t)snprintf(ret, size, "%s/%s", folder, name) < size ? 0 : -ENAMETOOLONG;
}

static int make_folder(const struct sink_files *files, const char *path)
{
	int rc = files->mkdir(files->arg, path, 0700);

	return rc == -EEXIST ? 0 : rc;
}

/* Held open it is ours; two processes never both have it locked. */
static int lock_folder(struct spool_folder *s)
{
	char path[SPOOL_FOLDER_MAX + sizeof("/" SPOOL_LOCK)];

	snprintf(path, sizeof(path), "%s/%s", s->path, SPOOL_LOCK);
	s->lock = s->files->open(s->files->arg, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return s->lock;
	return flock(s->lock, LOCK_EX | LOCK_NB) ? -errno : 0;
}

int spool_folder_open(struct spool_folder *s, const struct sink_files *files, const char *folder,
	const struct sink_url *url, char *hint, size_t hint_size)
{
	int rc = spool_folder_path(folder, url, s->path, sizeof(s->path));

	s->files = files;
	s->lock = -1;
	if (!rc)
		rc = make_folder(files, folder);
	if (!rc)
		rc = make_folder(files, s->path);
	if (!rc)
		rc = lock_folder(s);
	if (rc)
		snprintf(hint, hint_size, "its spool in %.150s: %s", folder,
			rc == -EWOULDBLOCK ? "another tap has it" : strerror(-rc));
	return rc == -EWOULDBLOCK ? -EBUSY : rc;
}

void spool_folder_close(struct spool_folder *s)
{
	if (s->lock >= 0)
		close(s->lock);
	s->lock = -1;
}
