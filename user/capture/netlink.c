/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* The kernel sends a dump in messages of at most DUMP_BUFFER. */
enum { DUMP_BUFFER = 32768, DUMP_TRIES = 4, BODY_MAX = 128 };

struct dump {
	uint32_t sequence;
	netlink_fn *fn;
	void *arg;
	int err; /* the first; the rest is read and left out */
	bool done;
};

/* Not what a signal interrupts: the kernel takes no question while it answers the last. */
static ssize_t receive(int fd, void *buffer, size_t size)
{
	ssize_t len;

	do
		len = recv(fd, buffer, size, 0);
	while (len < 0 && errno == EINTR);
	return len;
}

static int send_question(struct netlink *n, uint16_t type, const void *body, size_t body_len)
{
	struct {
		struct nlmsghdr header;
		uint8_t body[BODY_MAX];
	} request = {
		.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(body_len),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = ++n->sequence},
	};

	if (body_len > sizeof(request.body))
		return -EINVAL;
	memcpy(request.body, body, body_len);
	return send(n->fd, &request, request.header.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* The last message tells whether the dump came to its end. */
static int dump_result(const struct nlmsghdr *m)
{
	int err = 0;

	if (m->nlmsg_len >= NLMSG_LENGTH(sizeof(err)))
		memcpy(&err, NLMSG_DATA(m), sizeof(err));
	return err < 0 ? err : 0;
}

static int take_message(struct dump *d, const struct nlmsghdr *m)
{
	if (m->nlmsg_flags & NLM_F_DUMP_INTR)
		return -EINTR; /* what we have may be torn */
	return d->err ? 0 : d->fn(d->arg, m);
}

static void take_messages(struct dump *d, const struct nlmsghdr *m, size_t len)
{
	for (; NLMSG_OK(m, len) && !d->done; m = NLMSG_NEXT(m, len)) {
		int err;

		if (m->nlmsg_seq != d->sequence)
			continue;
		d->done = m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR;
		if (m->nlmsg_type == NLMSG_DONE)
			err = dump_result(m);
		else if (m->nlmsg_type == NLMSG_ERROR)
			err = ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
		else
			err = take_message(d, m);
		if (!d->err)
			d->err = err;
	}
}

int netlink_dump(struct netlink *n, uint16_t type, const void *body, size_t body_len,
	netlink_fn *fn, void *arg)
{
	static const struct timeval patience = {.tv_sec = 5};
	struct dump d = {.fn = fn, .arg = arg};
	uint8_t *buffer = malloc(DUMP_BUFFER);
	int err = buffer ? 0 : -ENOMEM;

	if (!err && setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		err = -errno;
	if (!err)
		err = send_question(n, type, body, body_len);
	d.sequence = n->sequence;
	while (!err && !d.done) {
		ssize_t len = receive(n->fd, buffer, DUMP_BUFFER);

		if (len < 0)
			err = -errno;
		else
			take_messages(&d, (void *)buffer, (size_t)len);
	}
	free(buffer);
	return err ? err : d.err;
}

int netlink_repeat(int (*attempt)(void *arg), void *arg)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++)
		err = attempt(arg);
	return err;
}

void netlink_attributes(
	const struct nlmsghdr *m, size_t body, const struct rtattr **ret, unsigned count)
{
	const struct rtattr *a = (const void *)((const uint8_t *)NLMSG_DATA(m) + NLMSG_ALIGN(body));
	size_t len = m->nlmsg_len > NLMSG_SPACE(body) ? m->nlmsg_len - NLMSG_SPACE(body) : 0;

	for (unsigned i = 0; i < count; i++)
		ret[i] = NULL;
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len)) {
		unsigned type = a->rta_type & NLA_TYPE_MASK;

		if (type < count)
			ret[type] = a;
	}
}
