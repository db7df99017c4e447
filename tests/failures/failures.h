/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes one call after another fail: each allocation, each system call and each call of a library
 * that can. The calls are those of the project's own objects; the linker sends them here (--wrap,
 * Makefile). failures_each runs a scenario with its first such call failing, then with its second,
 * and so on until one run passes without a failure. After each run no descriptor may be left open;
 * a run that does not end is killed and named; leaks are LeakSanitizer's to find.
 *
 * Calls of all threads count, but for those that say failures_spare, and those of the opener, a
 * child: what they share lies in memory of both.
 */
#ifndef TEST_FAILURES_H
#define TEST_FAILURES_H

#include <stdbool.h>

enum failures_how {
	FAILURES_ERROR = 1,     /* the call returns an error, once */
	FAILURES_ALL = 2,       /* this one and all behind it */
	FAILURES_SAME = 4,      /* this one and all of the same function behind it, but poll */
	FAILURES_INTERRUPT = 8, /* EINTR, where there may be: nobody must notice */
	FAILURES_SHORT = 16,    /* less is written or read than was asked: nobody must notice */
};

/* What is wrong it says by failures_check. */
typedef void failures_scenario(enum failures_how how);

/* Each step-th call. Returns the number of calls that were made to fail. */
unsigned int failures_each(
	const char *name, failures_scenario *scenario, enum failures_how how, unsigned int step);

/* This thread's calls do not fail and do not count. */
void failures_spare(bool spare);
/* True when the call that was to fail has been made. */
bool failures_failed(void);
/* The same, and it was one of this function. */
bool failures_failed_in(const char *function);
/* No line of the log, nor what else is said, is shown while a scenario runs. */
typedef void failures_line(const char *line);
/* How many errors and warnings there were. */
unsigned int failures_lines(void);
/* Gets every line, from any thread. */
void failures_on_line(failures_line *fn);

/* Says on the standard error that the program began with what is not so, and where; aborts. */
_Noreturn void failures_fault(const char *file, int line, const char *condition);

#define failures_check(condition)                                                                  \
	do {                                                                                       \
		if (!(condition))                                                                  \
			failures_fault(__FILE__, __LINE__, #condition);                            \
	} while (0)

#endif
