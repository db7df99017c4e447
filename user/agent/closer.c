/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/closer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct closer {
	pthread_mutex_t lock;
	pthread_cond_t more;
	int *fds;
	size_t count, room, next; /* next: the first that no thread has taken yet */
	uint64_t added, closed;
	bool ending, started;
	pthread_t thread;
};

struct closer *closer_new(void)
{
	struct closer *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	return c;
}

/* With the lock held, which is given up for the length of the close. */
static void close_next(struct closer *c)
{
	int fd = c->fds[c->next++];

	pthread_mutex_unlock(&c->lock);
	close(fd);
	pthread_mutex_lock(&c->lock);
	c->closed++;
}

static void *close_all(void *arg)
{
	struct closer *c = arg;

	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (c->next == c->count && !c->ending)
			pthread_cond_wait(&c->more, &c->lock);
		if (c->next == c->count)
			break;
		close_next(c);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* True when there is room for one more. */
static bool make_room(struct closer *c)
{
	size_t room = c->room ? 2 * c->room : 64;
	int *more;

	if (c->next == c->count)
		c->next = c->count = 0;
	if (c->count < c->room)
		return true;
	more = realloc(c->fds, room * sizeof(*more));
	if (!more)
		return false;
	c->fds = more;
	c->room = room;
	return true;
}

/* Without memory or a thread the caller waits for the close, and for those before it. */
uint64_t closer_add(struct closer *c, int fd)
{
	uint64_t number;

	pthread_mutex_lock(&c->lock);
	if (!c->started)
		c->started = !pthread_create(&c->thread, NULL, close_all, c);
	number = ++c->added;
	if (c->started && make_room(c)) {
		c->fds[c->count++] = fd;
		pthread_cond_signal(&c->more);
	} else {
		close(fd);
		c->closed++;
	}
	pthread_mutex_unlock(&c->lock);
	return number;
}

bool closer_done(struct closer *c, uint64_t number)
{
	bool done;

	pthread_mutex_lock(&c->lock);
	done = c->closed >= number;
	pthread_mutex_unlock(&c->lock);
	return done;
}

void closer_free(struct closer *c)
{
	pthread_t helpers[CLOSER_THREADS - 1];
	size_t count = 0, wanted;

	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	wanted = c->count - c->next;
	pthread_cond_broadcast(&c->more);
	pthread_mutex_unlock(&c->lock);
	while (count < CLOSER_THREADS - 1 && count + 1 < wanted &&
		!pthread_create(&helpers[count], NULL, close_all, c))
		count++;
	close_all(c);
	for (size_t i = 0; i < count; i++)
		pthread_join(helpers[i], NULL);
	if (c->started)
		pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->more);
	pthread_mutex_destroy(&c->lock);
	free(c->fds);
	free(c);
}
