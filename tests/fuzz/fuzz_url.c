/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sink/url, sink/settings and sink/words: each line of the input is a word of
 * SINK [full] [SINK [full]]...
 */
#include <arpa/inet.h>
#include <errno.h>

#include "fuzz.h"
#include "sink/url.h"
#include "sink/words.h"

enum { SINKS_MAX = 4 };

static void check_setting(const struct sink_settings *s, uint16_t at)
{
	const char *text = sink_setting(s, at, NULL);

	FUZZ_CHECK(!at == !text);
	if (text) {
		FUZZ_CHECK(at < sizeof(s->text) && memchr(text, 0, sizeof(s->text) - at));
		FUZZ_CHECK(*text && !strchr(text, '&'));
	}
}

static void check_settings(const struct sink_url *url)
{
	const struct sink_settings *s = &url->settings;
	bool socket = url->kind != SINK_FILE && url->kind != SINK_LINES;

	FUZZ_CHECK(!s->queue_size ||
		   (s->queue_size >= SINK_QUEUE_MIN && s->queue_size <= SINK_QUEUE_MAX));
	FUZZ_CHECK(s->rotate_interval <= SINK_ROTATE_INTERVAL_MAX);
	FUZZ_CHECK(s->spool_size <= SINK_SPOOL_MAX);
	FUZZ_CHECK(url->kind == SINK_FILE || (!s->rotate_size && !s->rotate_interval));
	FUZZ_CHECK(socket || (!s->spool && !s->spool_size && !s->unidirectional));
	FUZZ_CHECK(url->kind == SINK_TLS || (!s->tls_ca && !s->tls_cert && !s->tls_key));
	check_setting(s, s->spool);
	check_setting(s, s->tls_ca);
	check_setting(s, s->tls_cert);
	check_setting(s, s->tls_key);
}

static void check_url(const struct sink_url *url)
{
	size_t len = strnlen(url->target, sizeof(url->target));

	FUZZ_CHECK(len < sizeof(url->target));
	FUZZ_CHECK(strnlen(url->text, sizeof(url->text)) < sizeof(url->text));
	switch (url->kind) {
	case SINK_UNIX:
		FUZZ_CHECK(len && len <= SINK_UNIX_PATH_MAX);
		break;
	case SINK_TCP:
	case SINK_TLS:
		FUZZ_CHECK(len && len <= SINK_HOST_MAX && url->port);
		break;
	case SINK_FILE:
		FUZZ_CHECK(len);
		break;
	case SINK_LINES:
		FUZZ_CHECK(!len);
		break;
	}
	FUZZ_CHECK(strstr(url->text, url->target));
	check_settings(url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *rest = text, *word;
	struct sink_url *sinks = calloc(SINKS_MAX, sizeof(*sinks));
	size_t count = 0;

	FUZZ_CHECK(text && sinks);
	memcpy(text, data, size);
	text[size] = 0;
	while ((word = strsep(&rest, "\n"))) {
		char error[300] = "";
		char *copy = strdup(word); /* a block of exactly that length */
		int rc;

		FUZZ_CHECK(copy);
		rc = words_take(sinks, &count, SINKS_MAX, copy, error, sizeof(error));
		FUZZ_CHECK(rc == 0 || rc == -EINVAL);
		FUZZ_CHECK(count <= SINKS_MAX);
		if (rc)
			fuzz_check_line(error);
		free(copy);
	}
	for (size_t i = 0; i < count; i++)
		check_url(&sinks[i]);
	free(sinks);
	free(text);
	return 0;
}
