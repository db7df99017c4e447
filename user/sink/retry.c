/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/retry.h"

#include <unistd.h>

#include "base/clock.h"

void retry_init(struct retry *r, const atomic_bool *asked)
{
	r->asked = asked;
	r->random = clock_wall() ^ (uint64_t)getpid() << 32;
	retry_reset(r);
}

void retry_reset(struct retry *r)
{
	r->ms = SINK_BACKOFF_MIN_MS;
}

/* Between half of it and all of it, ms. */
static unsigned int shortened(struct retry *r, unsigned int ms)
{
	unsigned int half = ms / 2;

	r->random = r->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return half + (unsigned int)((r->random >> 33) % (half + 1));
}

/* True when the pause is over because of news, or somebody asked. */
static bool sleep_until(
	const struct retry *r, struct wait *wait, struct transport *t, uint64_t deadline)
{
	const bool stopping = wait_stop_began(wait);
	int events = 0;

	while (!atomic_load(r->asked) &&
		(events = wait_fd(wait, t->news_fd, POLLIN, deadline)) >= 0) {
		if (!stopping && wait_stop_began(wait))
			return false;
		if (events > 0 && t->ops->news && t->ops->news(t))
			return true;
	}
	return events >= 0;
}

void retry_pause(struct retry *r, struct wait *wait, struct transport *t, bool near)
{
	const bool unwatched = t->ops->news && t->news_fd < 0;

	if ((near || unwatched || wait_stop_began(wait)) && r->ms > SINK_BACKOFF_NEAR_MS)
		r->ms = SINK_BACKOFF_NEAR_MS;
	if (sleep_until(r, wait, t, wait_until(shortened(r, r->ms)))) {
		retry_reset(r);
		return;
	}
	r->ms *= 2;
	if (r->ms > SINK_BACKOFF_MAX_MS)
		r->ms = SINK_BACKOFF_MAX_MS;
}
