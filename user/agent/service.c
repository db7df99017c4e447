/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"

#define NS_PER_US UINT64_C(1000)

void service_init(struct service *s, uint64_t now)
{
	const char *socket = getenv("NOTIFY_SOCKET");
	uint64_t watchdog_us = 0;

	*s = (struct service){.listens = socket && *socket};
	if (s->listens && sd_watchdog_enabled(0, &watchdog_us) > 0)
		s->beat_every = watchdog_us * NS_PER_US / 2;
	s->next_beat = s->beat_every ? now + s->beat_every : UINT64_MAX;
}

static size_t connected(const struct service_view *view)
{
	size_t count = 0;

	for (size_t i = 0; i < view->sink_count; i++)
		count += sink_connected(view->sinks[i]);
	return count;
}

static uint64_t lost(const struct service_view *view)
{
	uint64_t sum = view->ledger->ring_full + view->ledger->ring_broken;

	for (size_t i = 0; i < view->sink_count; i++) {
		struct sink_counts c;

		sink_read_counts(view->sinks[i], &c);
		sum += c.lost_queue_full + c.lost_undelivered + c.given_up;
	}
	return sum;
}

static void compose(const struct service_view *view, char ret[static SERVICE_STATUS_MAX])
{
	/* Of many interfaces the first: the rest of the line must have room. */
	int len = snprintf(ret, SERVICE_STATUS_MAX, "Watching %.440s%s", view->watched,
		strlen(view->watched) > 440 ? "..." : "");

	snprintf(ret + len, SERVICE_STATUS_MAX - (size_t)len,
		" (%s ring); %zu of %zu sinks connected; %" PRIu64 " messages, %" PRIu64 " lost",
		view->ring, connected(view), view->sink_count, view->ledger->messages, lost(view));
}

void service_ready(struct service *s, const struct service_view *view, uint64_t now)
{
	if (!s->listens)
		return;
	compose(view, s->status);
	s->next_status = now + SERVICE_STATUS_S * NS_PER_SECOND;
	sd_notifyf(0, "READY=1\nSTATUS=%s", s->status);
}

/* The time lets Type=notify-reload, of systemd 253 and later, tell this reload from an older one.
 */
void service_reloading(const struct service *s, uint64_t now)
{
	if (s->listens)
		sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now / NS_PER_US);
}

void service_stopping(const struct service *s)
{
	if (s->listens)
		sd_notify(0, "STOPPING=1\nSTATUS=Stopping: what is queued goes out");
}

bool service_status_due(const struct service *s, uint64_t now)
{
	return s->listens && now >= s->next_status;
}

void service_status(struct service *s, const struct service_view *view, uint64_t now)
{
	char status[SERVICE_STATUS_MAX];

	if (!service_status_due(s, now))
		return;
	s->next_status = now + SERVICE_STATUS_S * NS_PER_SECOND;
	compose(view, status);
	if (!strcmp(status, s->status))
		return;
	memcpy(s->status, status, sizeof(s->status));
	sd_notifyf(0, "STATUS=%s", s->status);
}

void service_beat(struct service *s, uint64_t now)
{
	if (now < s->next_beat)
		return;
	s->next_beat = now + s->beat_every;
	sd_notify(0, "WATCHDOG=1");
}

uint64_t service_next_beat(const struct service *s)
{
	return s->next_beat;
}
