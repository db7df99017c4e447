/* SPDX-License-Identifier: BSD-2-Clause */
#include "failures.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "wraps.h"

enum { RUN_SECONDS_MAX = 30, CALLS_MAX = 100000 };

static _Atomic bool armed;
static _Atomic unsigned int calls;
static unsigned int failing; /* the number of the call that fails */
static enum failures_how how;
static const char *_Atomic what; /* that call */
static const char *scenario_name;
static _Thread_local bool spared;

/* The functions that FAILURES_SAME has had already. */
enum { SAME_MAX = 128 };
static const char *same[SAME_MAX];
static unsigned int same_count;

static bool is_tested(const char *name)
{
	for (unsigned int i = 0; i < same_count; i++)
		if (!strcmp(same[i], name))
			return true;
	return false;
}

static bool counts(enum kind kind, const char *name)
{
	if (how == FAILURES_SAME)
		return strcmp(name, "poll") && !is_tested(name);
	if (how == FAILURES_INTERRUPT)
		return kind & WAITS;
	return how == FAILURES_SHORT ? kind & MOVES_BYTES : true;
}

bool wraps_fails(enum kind kind, const char *name)
{
	unsigned int number;

	if (!armed || spared || !counts(kind, name))
		return false;
	number = ++calls;
	if (number == failing)
		what = name;
	if (how == FAILURES_SAME && number > failing)
		return what && !strcmp(name, what);
	return number == failing || (how == FAILURES_ALL && number > failing);
}

int wraps_reason(int error)
{
	return how == FAILURES_INTERRUPT ? EINTR : error;
}

size_t wraps_some(size_t len)
{
	return how == FAILURES_SHORT ? (len + 1) / 2 : len;
}

void failures_spare(bool spare)
{
	spared = spare;
}

bool failures_failed(void)
{
	return what;
}

bool failures_failed_in(const char *function)
{
	return what && !strcmp(what, function);
}

/* The standard error as it was, and in its place nothing. */
static int real_stderr = -1, nowhere = -1;
static _Atomic unsigned int lines;
static failures_line *on_line_too;

static void on_line(const char *line)
{
	failures_check(*line && !strchr(line, '\n') && !strstr(line, "Success"));
	/* the tap warns of that each time it is started so */
	if (!strncmp(line, "warning: --confine off", 22))
		return;
	if (!strncmp(line, "error: ", 7) || !strncmp(line, "warning: ", 9))
		lines++;
	if (on_line_too)
		on_line_too(line);
}

unsigned int failures_lines(void)
{
	return lines;
}

void failures_on_line(failures_line *fn)
{
	on_line_too = fn;
}

_Noreturn void failures_fault(const char *file, int line, const char *condition)
{
	static const char *const hows[] = {"fails", "and all behind it fail",
		"and all of its kind fail", "is interrupted", "moves less"};

	armed = false;
	if (real_stderr >= 0)
		dup2(real_stderr, STDERR_FILENO);
	fprintf(stderr, "%s:%d: not so: %s\n  where in '%s' call %u (%s) %s\n", file, line,
		condition, scenario_name, failing, what ? what : "not made yet", hows[how]);
	abort();
}

/* Not a place for stdio, but the program is lost anyway. */
static void on_alarm(int number)
{
	(void)number;
	failures_fault(__FILE__, __LINE__, "it ends");
}

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	failures_check(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void run(failures_scenario *scenario)
{
	unsigned int before = descriptors();
	uint64_t began = clock_monotonic();

	calls = lines = 0;
	what = NULL;
	alarm(RUN_SECONDS_MAX);
	dup2(nowhere, STDERR_FILENO);
	armed = true;
	scenario(how);
	armed = false;
	dup2(real_stderr, STDERR_FILENO);
	alarm(0);
	failures_check(descriptors() == before);
	if (getenv("FAILURES_TELL"))
		fprintf(stderr, "%s: call %u (%s): %u ms, %u lines\n", scenario_name, failing,
			what ? what : "none",
			(unsigned int)((clock_monotonic() - began) / NS_PER_MS), lines);
}

unsigned int failures_each(const char *name, failures_scenario *scenario, enum failures_how the_how)
{
	unsigned int count = 0;

	if (nowhere < 0) {
		real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
		nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	failures_check(real_stderr >= 0 && nowhere >= 0);
	log_set_function(on_line);
	scenario_name = name;
	how = the_how;
	signal(SIGALRM, on_alarm);
	/* once without, for what libraries take once and keep */
	failing = CALLS_MAX;
	run(scenario);
	same_count = 0;
	for (failing = 1; failing < CALLS_MAX; failing++) {
		run(scenario);
		if (!what)
			break;
		count++;
		if (how == FAILURES_SAME) {
			failures_check(same_count < SAME_MAX);
			same[same_count++] = what;
			failing = 0;
		}
	}
	return count;
}
