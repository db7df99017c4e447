/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the opener share: a room with one, started by a command line, and a folder. */
#ifndef AGENT_OPENER_ROOM_H
#define AGENT_OPENER_ROOM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/opener.h"
#include "base/log.h"

enum { WORDS = 16, PATH = 512 };

static char folder[] = "/tmp/test-opener-XXXXXX";

struct room {
	char words[WORDS][PATH];
	char *argv[WORDS + 1];
	struct options_source source;
	struct options options;
	struct opener *opener;
};

/* A command line; "@" in a word is the test's folder. */
static inline void say(struct room *r, const char *const *words)
{
	char error[OPTIONS_ERROR_MAX];
	int argc = 0;

	r->argv[argc++] = strcpy(r->words[0], "dnstap-bpf");
	for (; *words; words++, argc++) {
		const char *at = strchr(*words, '@');
		size_t before = at ? (size_t)(at - *words) : strlen(*words);

		snprintf(r->words[argc], PATH, "%.*s%s%s", (int)before, *words, at ? folder : "",
			at ? at + 1 : "");
		r->argv[argc] = r->words[argc];
	}
	r->argv[argc] = NULL;
	r->source = (struct options_source){.argc = argc, .argv = r->argv};
	if (options_parse_from(&r->source, &r->options, error))
		fail_msg("%s", error);
}

static inline struct room *start(const char *const *words)
{
	struct room *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	say(r, words);
	assert_int_equal(opener_start(&r->options, &r->source, &r->opener), 0);
	return r;
}

static inline void finish(struct room *r)
{
	opener_stop(r->opener);
	options_free(&r->options);
	free(r);
}

static const char *in_folder(const char *name)
{
	static char path[PATH];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static inline int open_path(struct room *r, const char *path, int flags)
{
	const struct sink_files *files = opener_files(r->opener);

	return files->open(files->arg, path, flags, 0644);
}

static inline int try_open(struct room *r, const char *name, int flags)
{
	int fd = open_path(r, in_folder(name), flags);

	if (fd >= 0) {
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		close(fd);
		return 0;
	}
	return fd;
}

enum {
	CREATE = O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY | O_CREAT,
	CREATE_NEW = CREATE | O_EXCL,
};

static inline int make_folder(void **state)
{
	(void)state;
	log_set_function(NULL);
	return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

#endif
