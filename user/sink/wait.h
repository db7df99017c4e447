/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting with an end. Every step of a sink that may block waits here, so that it ends at its own
 * deadline, and for a live tap's sink also when the whole exit has had its time. A wake-up (frames
 * after a sleep, or the stop) returns early, for the caller to look at the world again.
 *
 * Threads: all functions the sender's; stop_began is stored by any other thread.
 */
#ifndef SINK_WAIT_H
#define SINK_WAIT_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WAIT_FOREVER UINT64_MAX

struct wait {
	int wake_fd;                 /* eventfd, drained when seen */
	bool live;                   /* the exit has at most stop_limit; a replay's has not */
	uint64_t stop_limit;         /* ns */
	_Atomic uint64_t stop_began; /* monotonic ns; 0: not stopping */
	/* called before each sleep and after it; NULL: nothing is to be done */
	void (*before)(void *arg);
	void (*after)(void *arg);
	void *arg;
};

static inline uint64_t wait_stop_began(const struct wait *wait)
{
	return atomic_load_explicit(&wait->stop_began, memory_order_acquire);
}

/* The moment that many milliseconds from now. */
uint64_t wait_until(unsigned int ms);
/* deadline, or the end of the exit if that is earlier. */
uint64_t wait_bounded(const struct wait *wait, uint64_t deadline);

/*
 * Polls fds[0] to fds[count - 1] and the wake-up, which takes fds[count]. The number of ready
 * descriptors, 0 after a wake-up alone, -ETIMEDOUT past the deadline, or -errno.
 */
int wait_poll(struct wait *wait, struct pollfd *fds, unsigned int count, uint64_t deadline);
/* The same for one descriptor (-1: none): its events, 0 after a wake-up alone, or as above. */
int wait_fd(struct wait *wait, int fd, short events, uint64_t deadline);
/* Until fd is ready, through wake-ups: its events, -ETIMEDOUT or -errno. */
int wait_ready(struct wait *wait, int fd, short events, uint64_t deadline);

#endif
