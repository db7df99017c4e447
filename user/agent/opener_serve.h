/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The opener's own side: gives up what it does not need, then answers requests one after another
 * until the other side is gone. It looks at a path of a request only to compare it.
 */
#ifndef AGENT_OPENER_SERVE_H
#define AGENT_OPENER_SERVE_H

#include "agent/options.h"

/* In the child, right after fork: fd is its end, and never comes back. */
_Noreturn void opener_serve(
	int fd, const struct options *options, const struct options_source *source);

#endif
