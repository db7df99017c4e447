/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The folder of one sink's spool: made when it is not there, and locked so that two taps never
 * write one spool. Threads: any, one at a time.
 */
#ifndef SINK_SPOOL_FOLDER_H
#define SINK_SPOOL_FOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "sink/url.h"

/*
 * The sink's folder inside `folder`. 0 or -errno, then hint holds why. Both descriptors are the
 * caller's also after a failure (negative: not open).
 */
int spool_folder_open(const char *folder, const struct sink_url *url, int *ret_folder,
	int *ret_lock, char *hint, size_t hint_size);

/* The numbers of the segments in it, sorted. 0 or -errno; the caller frees *ret either way. */
int spool_folder_list(int folder, uint64_t **ret, size_t *ret_count);

#endif
