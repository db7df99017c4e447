/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

#define LIMIT_INTERVAL (60 * NS_PER_SECOND)

/* Set once at start, before any thread; the process has one standard error. */
static enum log_level threshold = LOG_INFO;

static void to_stderr(const char *line)
{
	fprintf(stderr, "dnstap-bpf: %s\n", line);
}

static log_fn *output = to_stderr;

void log_set_level(enum log_level level)
{
	threshold = level;
}

enum log_level log_level(void)
{
	return threshold;
}

void log_set_function(log_fn *fn)
{
	output = fn;
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
	char line[1024];
	va_list args;
	int len;

	if (level > threshold || !output)
		return;
	len = snprintf(line, sizeof(line), "%s", prefix[level]);
	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - (size_t)len, format, args);
	va_end(args);
	make_printable(line);
	output(line);
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
