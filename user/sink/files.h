/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How a sink reaches the file system: a table of functions, so that a program that has given up its
 * rights can let another process open what the operator named. files_plain are the system calls
 * themselves; where no table is given that one is taken.
 *
 * Each returns 0 or a descriptor (close-on-exec), or -errno. Paths are used as they stand, also
 * relative ones. Threads: any, so the functions of another table must be fit for that.
 */
#ifndef SINK_FILES_H
#define SINK_FILES_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct sink_files {
	/*
	 * As open(2). What is only read must be a regular file (or with O_DIRECTORY a folder): a
	 * pipe or a device in its place could keep the reader for ever. -FILES_NOT_REGULAR else.
	 * To write: -ELOOP for a symbolic link in a sticky folder that all may write to.
	 */
	int (*open)(void *arg, const char *path, int flags, mode_t mode);
	/* A stream socket that is connected to this path and never blocks. */
	int (*connect)(void *arg, const char *path);
	/* An inotify descriptor that never blocks, with that folder watched for these events. */
	int (*watch)(void *arg, const char *folder, uint32_t events);
	int (*status)(void *arg, const char *path, struct stat *ret);
	/* Whether it may be written to. */
	int (*writable)(void *arg, const char *path);
	int (*mkdir)(void *arg, const char *path, mode_t mode);
	int (*unlink)(void *arg, const char *path);
	/* The same, for an empty file only. */
	int (*discard)(void *arg, const char *path);
	int (*rename)(void *arg, const char *from, const char *to);
	void *arg;
};

extern const struct sink_files files_plain;

/* An error of no other meaning here. */
#define FILES_NOT_REGULAR EMEDIUMTYPE
/* As strerror, of -errno. */
const char *files_why(int err);

/* Our standard output once more, for what must not be shared with those who have it open too. */
#define FILES_STDOUT "/proc/self/fd/1"

enum {
	FILES_TEMPORARY_DIGITS = 6,
	FILES_TEMPORARY_SIZE = FILES_TEMPORARY_DIGITS + 2 /* with the dot and the final zero */
};

/*
 * A new file to write to beside path, which a rename will make it: path, a dot and digits. Its
 * name goes to ret. A descriptor or -errno.
 */
int files_open_temporary(
	const struct sink_files *files, const char *path, mode_t mode, char *ret, size_t size);

#endif
