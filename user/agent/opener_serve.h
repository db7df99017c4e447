/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opener's own side: gives up what it does not need, then answers requests one after another
 * until the other side is gone. It looks at a path of a request only to compare it.
 */
#ifndef AGENT_OPENER_SERVE_H
#define AGENT_OPENER_SERVE_H

#include <sys/types.h>

#include "agent/options.h"

/*
 * Its process id or -errno. *ret_fd is the other side's end, and *ret_life a pipe: when that is
 * closed, also by the other side's end, the opener is killed, whatever it does or hangs in.
 */
pid_t opener_fork(const struct options *options, const struct options_source *source, int *ret_fd,
	int *ret_life);

#endif
