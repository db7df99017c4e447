/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The part of the filters that the BPF program does: what it is given at load time, and what a
 * reload changes there. The program never drops what user space would keep, so where the two are
 * changed the program goes first when it drops less, and nothing is lost when it drops more late.
 * What it was not loaded with, or cannot change, user space does alone. One thread.
 */
#ifndef AGENT_EARLY_H
#define AGENT_EARLY_H

#include "agent/filter.h"
#include "agent/options.h"
#include "capture/loader.h"

/* Room for what struct loader_filter points to; until loader_new has returned. */
struct early {
	struct loader_network clients[OPTIONS_CLIENTS_MAX], servers[OPTIONS_SERVERS_MAX];
};

/* What a loader is given for these options. */
struct loader_filter early_filter(
	struct early *room, const struct options *options, const struct filter *filter);

/* Whether the program may cut messages behind their question. */
bool early_clamp(const struct options *options);

/*
 * After pipeline_replace, with no packet between the two: was is what was in force, now what will
 * be. Says in one line each what user space does alone from now on.
 */
void early_replace(struct loader *loader, const struct options *was, const struct options *now);

/*
 * Before anything else of a reload: messages come whole from now on, if they are to. What was
 * recorded before is cut, and must go through the pipeline as it still is.
 */
void early_unclamp(struct loader *loader, const struct options *now);

#endif
