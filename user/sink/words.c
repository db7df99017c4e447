/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int take_full(struct sink_url *last, char *error, size_t error_size)
{
	if (!last) {
		snprintf(error, error_size,
			"'full' follows a sink, as in: unix:///run/dnstap.sock full "
			"(a socket of that name is ./full)");
		return -EINVAL;
	}
	if (last->full) {
		snprintf(error, error_size, "'full' stands twice behind %s", last->text);
		return -EINVAL;
	}
	last->full = true;
	return 0;
}

int words_take(struct sink_url *sinks, size_t *count, size_t max, const char *word, char *error,
	size_t error_size)
{
	int err;

	if (!strcmp(word, "full"))
		return take_full(*count ? &sinks[*count - 1] : NULL, error, error_size);
	if (*count == max) {
		snprintf(error, error_size, "at most %zu sinks", max);
		return -EINVAL;
	}
	err = sink_url_parse(word, &sinks[*count], error, error_size);
	if (err)
		return err;
	for (size_t i = 0; i < *count; i++) {
		if (sink_url_same_place(&sinks[i], &sinks[*count])) {
			snprintf(error, error_size, "sink %.200s is named twice%s%.200s",
				sinks[*count].text, strcmp(sinks[i].text, word) ? ": it is " : "",
				strcmp(sinks[i].text, word) ? sinks[i].text : "");
			return -EINVAL;
		}
	}
	++*count;
	return 0;
}
