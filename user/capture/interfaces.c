/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/interfaces.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/flow.h"

/* The kernel sends a dump in messages of at most this size. */
enum { DUMP_BUFFER = 32768, DUMP_TRIES = 4 };

typedef int message_fn(void *arg, const struct nlmsghdr *message);

/* Of which routes: a router may have a million others. Zeros: all, or not about routes. */
struct route_filter {
	uint8_t table, type;
};

static int send_dump_request(int fd, uint16_t type, struct route_filter filter)
{
	int strict = 1;
	struct {
		struct nlmsghdr header;
		struct rtmsg body; /* the largest of the request bodies; all start with a family */
	} request = {
		.header = {.nlmsg_len = sizeof(request),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.body = {.rtm_family = AF_UNSPEC,
			.rtm_table = filter.table,
			.rtm_type = filter.type},
	};

	/* Without strict checking (Linux 4.20) the filter is not looked at and all routes come. */
	if (type == RTM_GETROUTE)
		setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* The last message tells whether the dump came to its end. */
static int dump_result(const struct nlmsghdr *m)
{
	int err = 0;

	if (m->nlmsg_len >= NLMSG_LENGTH(sizeof(err)))
		memcpy(&err, NLMSG_DATA(m), sizeof(err));
	return err < 0 ? err : 1;
}

/* 1 when the dump is over, 0 to go on, or -errno. */
static int take_messages(const struct nlmsghdr *m, size_t len, message_fn *fn, void *arg)
{
	for (; NLMSG_OK(m, len); m = NLMSG_NEXT(m, len)) {
		int err;

		if (m->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EINTR; /* it changed under way: what we have may be torn */
		if (m->nlmsg_type == NLMSG_DONE)
			return dump_result(m);
		if (m->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(m))->error;
		err = fn(arg, m);
		if (err)
			return err;
	}
	return 0;
}

static int dump_once(uint16_t type, struct route_filter filter, message_fn *fn, void *arg)
{
	static const struct timeval patience = {.tv_sec = 5};
	uint8_t *buffer = malloc(DUMP_BUFFER);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int err = 0;

	if (!buffer || fd < 0) {
		err = buffer ? -errno : -ENOMEM;
		goto out;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	err = send_dump_request(fd, type, filter);
	while (!err) {
		ssize_t len = recv(fd, buffer, DUMP_BUFFER, 0);

		if (len < 0)
			err = -errno;
		else
			err = take_messages((void *)buffer, (size_t)len, fn, arg);
	}
out:
	if (fd >= 0)
		close(fd);
	free(buffer);
	return err > 0 ? 0 : err;
}

/* What follows the fixed body of a message, as attributes by type; unknown types are left out. */
static void read_attributes(
	const struct nlmsghdr *m, size_t body, const struct rtattr **ret, unsigned count)
{
	const struct rtattr *a = (const void *)((const uint8_t *)NLMSG_DATA(m) + NLMSG_ALIGN(body));
	size_t len = m->nlmsg_len > NLMSG_SPACE(body) ? m->nlmsg_len - NLMSG_SPACE(body) : 0;

	memset(ret, 0, count * sizeof(*ret));
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type < count)
			ret[a->rta_type] = a;
}

struct list {
	struct interface *all;
	size_t count;
};

static struct interface *list_find(struct list *list, unsigned index)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->all[i].index == index)
			return &list->all[i];
	return NULL;
}

static int on_link(void *arg, const struct nlmsghdr *m)
{
	const struct ifinfomsg *info = NLMSG_DATA(m);
	const struct rtattr *a[IFLA_MASTER + 1];
	struct list *list = arg;
	struct interface *more, *i;

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	read_attributes(m, sizeof(*info), a, IFLA_MASTER + 1);
	if (!a[IFLA_IFNAME])
		return 0;
	more = realloc(list->all, (list->count + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->all = more;
	i = &list->all[list->count++];
	*i = (struct interface){
		.index = (unsigned)info->ifi_index,
		.up = info->ifi_flags & IFF_UP,
		.loopback = info->ifi_flags & IFF_LOOPBACK,
		.enslaved = a[IFLA_MASTER],
	};
	strncpy(i->name, RTA_DATA(a[IFLA_IFNAME]), IF_NAMESIZE - 1);
	return 0;
}

static bool is_link_local(const struct rtattr *address)
{
	const uint8_t *b = RTA_DATA(address);

	return RTA_PAYLOAD(address) == 16 && b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

static int on_address(void *arg, const struct nlmsghdr *m)
{
	const struct ifaddrmsg *info = NLMSG_DATA(m);
	const struct rtattr *a[IFA_LOCAL + 1];
	struct interface *i;

	if (m->nlmsg_type != RTM_NEWADDR)
		return 0;
	read_attributes(m, sizeof(*info), a, IFA_LOCAL + 1);
	i = list_find(arg, info->ifa_index);
	if (i && a[IFA_ADDRESS] && !is_link_local(a[IFA_ADDRESS]))
		i->addressed = true;
	return 0;
}

static int on_default_route(void *arg, const struct nlmsghdr *m)
{
	const struct rtmsg *route = NLMSG_DATA(m);
	const struct rtattr *a[RTA_OIF + 1];
	struct interface *i;

	if (m->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len || route->rtm_type != RTN_UNICAST)
		return 0;
	read_attributes(m, sizeof(*route), a, RTA_OIF + 1);
	if (!a[RTA_OIF])
		return 0;
	i = list_find(arg, *(const unsigned *)RTA_DATA(a[RTA_OIF]));
	if (i)
		i->routed = true;
	return 0;
}

/* Runs attempt again while the kernel says that its answer changed under way. */
static int repeat_if_torn(int (*attempt)(void *arg), void *arg)
{
	int err = -EINTR;

	for (int i = 0; i < DUMP_TRIES && err == -EINTR; i++)
		err = attempt(arg);
	return err;
}

static int list_attempt(void *arg)
{
	const struct route_filter all = {0}, main = {.table = RT_TABLE_MAIN};
	struct list *list = arg;
	int err;

	free(list->all);
	*list = (struct list){0};
	err = dump_once(RTM_GETLINK, all, on_link, list);
	if (!err)
		err = dump_once(RTM_GETADDR, all, on_address, list);
	if (!err)
		err = dump_once(RTM_GETROUTE, main, on_default_route, list);
	return err;
}

int interfaces_list(struct interface **ret, size_t *ret_count)
{
	struct list list = {0};
	int err = repeat_if_torn(list_attempt, &list);

	if (err) {
		free(list.all);
		return err;
	}
	*ret = list.all;
	*ret_count = list.count;
	return 0;
}

struct own_addresses {
	struct prefixes *local, *broadcast;
};

static int on_own_route(void *arg, const struct nlmsghdr *m)
{
	const struct rtmsg *route = NLMSG_DATA(m);
	const struct rtattr *a[RTA_DST + 1];
	struct own_addresses *own = arg;
	struct prefixes *set;
	uint8_t family;

	if (m->nlmsg_type != RTM_NEWROUTE)
		return 0;
	if (route->rtm_type != RTN_LOCAL && route->rtm_type != RTN_BROADCAST)
		return 0;
	if (route->rtm_family != AF_INET && route->rtm_family != AF_INET6)
		return 0;
	family = route->rtm_family == AF_INET ? FAMILY_IPV4 : FAMILY_IPV6;
	set = route->rtm_type == RTN_LOCAL ? own->local : own->broadcast;
	read_attributes(m, sizeof(*route), a, RTA_DST + 1);
	if (!a[RTA_DST] || RTA_PAYLOAD(a[RTA_DST]) < family_len(family))
		return 0;
	return prefixes_add(set, family, RTA_DATA(a[RTA_DST]), route->rtm_dst_len);
}

static int own_attempt(void *arg)
{
	/* In every table: those of a VRF are in its own. */
	const struct route_filter local = {.type = RTN_LOCAL}, broadcast = {.type = RTN_BROADCAST};
	struct own_addresses *own = arg;
	int err;

	prefixes_clear(own->local);
	prefixes_clear(own->broadcast);
	err = dump_once(RTM_GETROUTE, local, on_own_route, own);
	return err ? err : dump_once(RTM_GETROUTE, broadcast, on_own_route, own);
}

int interfaces_local(struct prefixes *local, struct prefixes *broadcast)
{
	struct own_addresses own = {.local = prefixes_new(), .broadcast = prefixes_new()};
	int err = -ENOMEM;

	if (own.local && own.broadcast)
		err = repeat_if_torn(own_attempt, &own);
	if (!err) {
		prefixes_swap(local, own.local);
		prefixes_swap(broadcast, own.broadcast);
	}
	prefixes_free(own.local);
	prefixes_free(own.broadcast);
	return err;
}

int interfaces_watch(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* What it says is not looked at: asking anew cannot be wrong, and is told even of an overrun. */
bool interfaces_changed(int fd)
{
	uint8_t message[4096];
	bool changed = false;
	ssize_t len;

	while ((len = recv(fd, message, sizeof(message), 0)) >= 0 || errno == ENOBUFS)
		changed = true;
	return changed;
}
