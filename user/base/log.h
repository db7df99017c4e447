/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages to the person who runs the tap, one line each on standard error. Only agent/ and the
 * threads of sink/ log; the pure rooms count instead. Any thread may call; lines do not mix.
 *
 * Where standard error is the journal's, lines begin with their priority (sd-daemon(3)) instead of
 * the program's name, which the journal knows. Of one line said again and again, LOG_REPEATS go out
 * a minute; how many did not is told before the next line, or with the first one after the minute.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum { LOG_REPEATS = 5 };

/* What is printed: this level and the more urgent ones. Default LOG_INFO. Call before threads. */
void log_set_level(enum log_level level);

/* Looks whether standard error is the journal's (systemd.exec(5), JOURNAL_STREAM). At start. */
void log_find_journal(void);

/* Lines go to this function instead of standard error, from any thread; NULL: to nobody. */
typedef void log_fn(const char *line);
void log_set_function(log_fn *fn);

/* A printf format without a newline. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/*
 * One line a minute for each limit: true when the caller may log now. suppressed then holds how
 * often it was refused since the last time. now is clock_monotonic(). One thread for each limit.
 */
struct log_limit {
	uint64_t last; /* monotonic ns of the last line; 0: none yet */
	uint64_t suppressed;
};
bool log_allowed(struct log_limit *limit, uint64_t now, uint64_t *ret_suppressed);

#endif
