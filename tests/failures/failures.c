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
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "wraps.h"

enum { RUN_SECONDS_MAX = 30, CALLS_MAX = 100000, LOOKS_MAX = 32 };

/* What both processes change; names are those of one program, so they mean the same in both. */
static struct {
	_Atomic bool armed, faulted;
	_Atomic unsigned int run; /* its number */
	_Atomic unsigned int calls, lines, looks;
	const char *_Atomic what; /* the call that failed */
} * shared;

static unsigned int run_number; /* of the run that this process is of */
static unsigned int failing;    /* the number of the call that fails */
static enum failures_how how;
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

/* However many processes there are: of the looks at each of them only the first few fail. */
static bool is_one_of_many(const char *name)
{
	return (!strcmp(name, "stat") || !strcmp(name, "readdir")) && shared->looks++ >= LOOKS_MAX;
}

static bool counts(enum kind kind, const char *name)
{
	if (is_one_of_many(name))
		return false;
	if (how == FAILURES_SAME)
		return strcmp(name, "poll") && !is_tested(name);
	if (how == FAILURES_INTERRUPT)
		return kind & WAITS;
	return how == FAILURES_SHORT ? kind & MOVES_BYTES : true;
}

bool wraps_fails(enum kind kind, const char *name)
{
	unsigned int number;

	if (!shared || !shared->armed || shared->run != run_number || spared || !counts(kind, name))
		return false;
	number = ++shared->calls;
	if (number == failing)
		shared->what = name;
	if (how == FAILURES_SAME && number > failing)
		return shared->what && !strcmp(name, shared->what);
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
	return shared->what;
}

bool failures_failed_in(const char *function)
{
	return shared->what && !strcmp(shared->what, function);
}

/* The standard error as it was, and in its place nothing. */
static int real_stderr = -1, nowhere = -1;
static failures_line *on_line_too;

static void on_line(const char *line)
{
	failures_check(*line && !strchr(line, '\n') && !strstr(line, "Success"));
	/* the tap warns of that each time it is started so */
	if (!strncmp(line, "warning: --confine off", 22))
		return;
	if (!strncmp(line, "error: ", 7) || !strncmp(line, "warning: ", 9))
		shared->lines++;
	if (on_line_too)
		on_line_too(line);
}

unsigned int failures_lines(void)
{
	return shared->lines;
}

void failures_on_line(failures_line *fn)
{
	on_line_too = fn;
}

_Noreturn void failures_fault(const char *file, int line, const char *condition)
{
	static const char *const hows[] = {"fails", "and all behind it fail",
		"and all of its kind fail", "is interrupted", "moves less"};

	if (!shared) {
		fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
		abort();
	}
	shared->armed = false;
	shared->faulted = true;
	dup2(real_stderr, STDERR_FILENO);
	fprintf(stderr, "%s:%d: not so: %s\n  where in '%s' call %u (%s) %s\n", file, line,
		condition, scenario_name, failing, shared->what ? shared->what : "not made yet",
		hows[__builtin_ctz(how)]);
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

	/* the log would not say again what the runs before this one have said */
	log_info("%s %u", scenario_name, ++run_number);
	shared->run = run_number;
	shared->calls = shared->lines = shared->looks = 0;
	shared->what = NULL;
	alarm(RUN_SECONDS_MAX);
	dup2(nowhere, STDERR_FILENO);
	shared->armed = true;
	scenario(how);
	shared->armed = false;
	dup2(real_stderr, STDERR_FILENO);
	alarm(0);
	failures_check(descriptors() == before);
	if (shared->faulted)
		abort(); /* the opener has said what */
	if (getenv("FAILURES_TELL"))
		fprintf(stderr, "%s: call %u (%s): %u ms, %u lines\n", scenario_name, failing,
			shared->what ? shared->what : "none",
			(unsigned int)((clock_monotonic() - began) / NS_PER_MS), shared->lines);
}

static void prepare(void)
{
	if (shared)
		return;
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (shared == MAP_FAILED || real_stderr < 0 || nowhere < 0)
		abort();
	log_set_function(on_line);
	signal(SIGALRM, on_alarm);
}

unsigned int failures_each(
	const char *name, failures_scenario *scenario, enum failures_how the_how, unsigned int step)
{
	unsigned int count = 0;

	prepare();
	scenario_name = name;
	how = the_how;
	/* once without, for what libraries take once and keep */
	failing = CALLS_MAX;
	run(scenario);
	same_count = 0;
	for (failing = 1; failing < CALLS_MAX; failing += step) {
		run(scenario);
		if (!shared->what)
			break;
		count++;
		if (how == FAILURES_SAME) {
			failures_check(same_count < SAME_MAX);
			same[same_count++] = shared->what;
			failing = 1 - step;
		}
	}
	return count;
}
