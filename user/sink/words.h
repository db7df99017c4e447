/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SINK [full] [SINK [full]]..., word by word, as the command line and the library take them. One
 * place may be named once only. Pure.
 */
#ifndef SINK_WORDS_H
#define SINK_WORDS_H

#include <stddef.h>

#include "sink/url.h"

/*
 * Takes one more word: a sink behind the count that are there, or `full` for the last. 0, or
 * -EINVAL and error holds one line.
 */
int words_take(struct sink_url *sinks, size_t *count, size_t max, const char *word, char *error,
	size_t error_size);

#endif
