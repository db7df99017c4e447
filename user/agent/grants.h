/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the opener may do (agent/opener_rules.h) while the options change: what is in force allows,
 * and what was before it until nothing of that is left to be ended, and what a reload has read and
 * not decided about yet. A sink that stays with its old settings is allowed what the options say
 * that it was opened with, for as long as it stays.
 *
 * What was fixed at the start is so for every later reading. Bounds: as many readings are kept as
 * levels and sinks need. Ownership: start and source are the caller's and outlive it. One thread.
 */
#ifndef AGENT_GRANTS_H
#define AGENT_GRANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/opener_protocol.h"
#include "agent/options.h"

struct grants;

/* NULL without memory. The opener's process has them to its end: nobody frees them. */
struct grants *grants_new(const struct options *start, const struct options_source *source);

/* Reads the options again; an undecided reading is dropped. Its number, or -errno. */
int grants_reload(struct grants *grants);
/* The undecided reading is in force; places: the sinks that stay as an older one named them. */
void grants_commit(struct grants *grants, const struct opener_place *places, size_t count);
/* It is not going to be in force. */
void grants_abort(struct grants *grants);
/* Of what was in force before nothing is left. */
void grants_forget(struct grants *grants);

bool grants_allow(const struct grants *grants, const struct opener_request *request);

#endif
