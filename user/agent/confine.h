/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving up rights. The worker, which touches what others wrote (packets, capture files, what
 * collectors answer), becomes another user without groups and capabilities, can neither regain them
 * nor leave a core dump, and may only make the system calls that agent/confine_calls.c lists. The
 * opener keeps its user and a few capabilities, under a list of its own.
 *
 * Only root becomes another user. Who starts as an ordinary user, with the capabilities for a live
 * tap or for a replay with none, stays that user and gives up the rest all the same.
 *
 * Threads: all functions before any other thread is started.
 */
#ifndef AGENT_CONFINE_H
#define AGENT_CONFINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "agent/options.h"

enum { CONFINE_USER_MAX = 64 };

struct confine {
	int mode;    /* enum options_confine */
	bool change; /* of user and group; else both stay */
	uid_t uid;
	gid_t gid;
	char user[CONFINE_USER_MAX]; /* for messages */
};

/* Finds the user, so that a name that is wrong is told early. 0 or -errno after a line was logged.
 */
int confine_prepare(const struct options *options, struct confine *ret);

/* A name or a number that --user takes. */
bool confine_user_exists(const char *name);

/* For the worker: not undone by anything. 0 or -errno after a line was logged. */
int confine_worker(const struct confine *confine);
/* For the opener; the options tell the mode, and whether it enters namespaces. As above. */
int confine_opener(const struct options *options);

#endif
