/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system calls that a process may make, as a seccomp filter: a list of what is allowed, with
 * the reason for each, and the end of the process for anything else.
 */
#ifndef AGENT_CONFINE_CALLS_H
#define AGENT_CONFINE_CALLS_H

#include <stdbool.h>

enum confine_role { CONFINE_WORKER = 1, CONFINE_OPENER = 2 };

/*
 * Holds for every thread, those to come and child processes, and cannot be taken off. log_only:
 * what is not on the list goes to the kernel's log and is allowed. 0 or -errno.
 */
int confine_calls_load(enum confine_role role, bool log_only);

#endif
