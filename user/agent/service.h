/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the service manager is told (sd_notify(3)): that the tap is ready, reloads and stops, one
 * line about how it does, and the watchdog's sign of life, which comes from the main loop alone, so
 * that a loop that is stuck is seen. Everything here is nothing when no NOTIFY_SOCKET is set.
 *
 * The line is looked at no more than every SERVICE_STATUS_S seconds, when the loop is awake anyhow,
 * and sent when it has changed; only the watchdog wakes the loop, at half of its interval. One
 * thread. Owns nothing.
 */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ledger.h"
#include "sink/sink.h"

enum { SERVICE_STATUS_S = 5, SERVICE_STATUS_MAX = 640 };

struct service {
	bool listens;                    /* somebody wants to know */
	uint64_t beat_every;             /* ns; 0: no watchdog */
	uint64_t next_beat;              /* monotonic ns */
	uint64_t next_status;            /* monotonic ns */
	char status[SERVICE_STATUS_MAX]; /* as last told */
};

/* What the line tells. */
struct service_view {
	const char *watched; /* interfaces */
	const char *ring;
	struct sink *const *sinks;
	size_t sink_count;
	const struct ledger *ledger; /* the kernel's counts are filled in */
};

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC, which stay set. */
void service_init(struct service *service, uint64_t now);

/* Also after a reload. */
void service_ready(struct service *service, const struct service_view *view, uint64_t now);
void service_reloading(const struct service *service, uint64_t now);
void service_stopping(const struct service *service);

/* Whether service_status would look. */
bool service_status_due(const struct service *service, uint64_t now);
void service_status(struct service *service, const struct service_view *view, uint64_t now);

/* In each round of the main loop. */
void service_beat(struct service *service, uint64_t now);
/* When the loop must be awake for the watchdog, monotonic ns; UINT64_MAX: never. */
uint64_t service_next_beat(const struct service *service);

#endif
