/* SPDX-License-Identifier: BSD-2-Clause */
#include "sink/wait.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "base/clock.h"

uint64_t wait_until(unsigned int ms)
{
	return clock_monotonic() + ms * NS_PER_MS;
}

uint64_t wait_bounded(const struct wait *wait, uint64_t deadline)
{
	uint64_t began = wait_stop_began(wait);

	if (began && wait->live && began + wait->stop_limit < deadline)
		return began + wait->stop_limit;
	return deadline;
}

/* For poll, rounded up so that it does not spin through the last millisecond. */
static int timeout_ms(uint64_t deadline)
{
	uint64_t now, ms;

	if (deadline == WAIT_FOREVER)
		return -1;
	now = clock_monotonic();
	if (now >= deadline)
		return 0;
	ms = (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

int wait_poll(struct wait *wait, struct pollfd *fds, unsigned int count, uint64_t deadline)
{
	uint64_t bells;
	int ready;

	deadline = wait_bounded(wait, deadline);
	fds[count] = (struct pollfd){.fd = wait->wake_fd, .events = POLLIN};
	if (wait->before)
		wait->before(wait->arg);
	ready = poll(fds, count + 1, timeout_ms(deadline));
	if (wait->after)
		wait->after(wait->arg);
	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	if (ready == 0)
		return -ETIMEDOUT;
	if (!fds[count].revents)
		return ready;
	if (read(wait->wake_fd, &bells, sizeof(bells)) < 0 && errno != EAGAIN)
		return -errno;
	return ready - 1;
}

int wait_fd(struct wait *wait, int fd, short events, uint64_t deadline)
{
	struct pollfd fds[2] = {{.fd = fd, .events = events}};
	int rc = wait_poll(wait, fds, 1, deadline);

	return rc > 0 ? fds[0].revents : rc;
}

int wait_ready(struct wait *wait, int fd, short events, uint64_t deadline)
{
	int rc;

	do {
		rc = wait_fd(wait, fd, events, deadline);
	} while (rc == 0);
	return rc;
}
