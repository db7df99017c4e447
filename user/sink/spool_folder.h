/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder of one sink's spool: made when it is not there, and locked so that two taps never
 * write one spool.
 *
 * All in it is reached by its full path: another process may do it (sink/files.h). So a folder that
 * is renamed or removed under a running tap is not followed: what is open of it is still written
 * and read, what comes after is not taken (spool_failed counts, and a line says it) until a folder
 * is there again under the old name; and what is in the renamed one is found by the next start
 * that it has its name back for. The lock goes with the renamed folder: while the tap runs no other
 * one may be given the old name.
 *
 * Threads: any, one at a time.
 */
#ifndef SINK_SPOOL_FOLDER_H
#define SINK_SPOOL_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sink/files.h"
#include "sink/url.h"

#define SPOOL_LOCK "lock"

enum { SPOOL_FOLDER_MAX = SINK_TEXT_MAX };

/* Where a sink's own spool is, in the folder of all. */
struct spool_folder {
	const struct sink_files *files;
	char path[SPOOL_FOLDER_MAX];
	int lock; /* held open; -1: not locked */
};

/* The path of the sink's folder inside `folder`. 0 or -ENAMETOOLONG. */
int spool_folder_path(const char *folder, const struct sink_url *url, char *ret, size_t size);

/* 0 or -errno, then hint holds why; spool_folder_close is due after either. */
int spool_folder_open(struct spool_folder *s, const struct sink_files *files, const char *folder,
	const struct sink_url *url, char *hint, size_t hint_size);
void spool_folder_close(struct spool_folder *s);

/* The numbers of the segments in it, sorted. 0 or -errno; the caller frees *ret either way. */
int spool_folder_list(const struct spool_folder *s, uint64_t **ret, size_t *ret_count);

#endif
