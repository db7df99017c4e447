/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define LIMIT_INTERVAL (60 * NS_PER_SECOND)

enum { LINE_MAX_LEN = 1024 };

/* The line that was said last, and how often since it was new or a minute ago. */
struct repeated {
	char line[LINE_MAX_LEN];
	uint64_t since, times;
};

/* Set once at start, before any thread; the process has one standard error. */
static enum log_level threshold = LOG_INFO;

static bool journal;
static struct repeated last;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for last, and the lines' order */
static log_fn *output;
static bool silent;

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_set_function(log_fn *fn)
{
	output = fn;
	silent = !fn;
}

void log_find_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st))
		return;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	journal = !strcmp(stream, own);
}

static void put(enum log_level level, const char *line)
{
	static const int priority[] = {3, 4, 6, 7}; /* of syslog(3) */

	if (output)
		output(line);
	else if (journal)
		fprintf(stderr, "<%d>%s\n", priority[level], line);
	else
		fprintf(stderr, "dnstap-bpf: %s\n", line);
}

static void tell_repeated(enum log_level level)
{
	char line[64];

	if (last.times <= LOG_REPEATS)
		return;
	snprintf(line, sizeof(line), "(and %" PRIu64 " times more)", last.times - LOG_REPEATS);
	put(level, line);
}

/* False when it was said often enough. */
static bool worth_saying(enum log_level level, const char *line)
{
	uint64_t now = clock_monotonic();

	if (!strcmp(line, last.line) && now - last.since < LIMIT_INTERVAL)
		return ++last.times <= LOG_REPEATS;
	tell_repeated(level);
	snprintf(last.line, sizeof(last.line), "%s", line);
	last.since = now;
	last.times = 1;
	return true;
}

/* What a user, a file or the network has given may stand in it: it stays one line all the same. */
static void make_printable(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const prefix[] = {"error: ", "warning: ", "", "debug: "};
	char line[LINE_MAX_LEN];
	va_list args;
	int len;

	if (level > threshold || silent)
		return;
	len = snprintf(line, sizeof(line), "%s", prefix[level]);
	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
	va_end(args);
	make_printable(line);
	pthread_mutex_lock(&lock);
	if (worth_saying(level, line))
		put(level, line);
	pthread_mutex_unlock(&lock);
}

bool log_allowed(struct log_limit *limit, uint64_t now, uint64_t *ret_suppressed)
{
	if (limit->last && now - limit->last < LIMIT_INTERVAL) {
		limit->suppressed++;
		return false;
	}
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	limit->last = now;
	return true;
}
