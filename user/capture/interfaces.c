/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/interfaces.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/flow.h"

struct list {
	struct netlink *route;
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

/* The attribute is always there; in it is how a program is attached, 0: none is. */
static bool has_xdp(const struct rtattr *xdp)
{
	const struct rtattr *a;
	size_t len;

	if (!xdp)
		return false;
	len = RTA_PAYLOAD(xdp);
	for (a = RTA_DATA(xdp); RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_XDP_ATTACHED && RTA_PAYLOAD(a) >= 1)
			return *(const uint8_t *)RTA_DATA(a) != XDP_ATTACHED_NONE;
	return false;
}

static int on_link(void *arg, const struct nlmsghdr *m)
{
	const struct ifinfomsg *info = NLMSG_DATA(m);
	const struct rtattr *a[IFLA_XDP + 1];
	struct list *list = arg;
	struct interface *more, *i;

	if (m->nlmsg_type != RTM_NEWLINK)
		return 0;
	netlink_attributes(m, sizeof(*info), a, IFLA_XDP + 1);
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
		.xdp = has_xdp(a[IFLA_XDP]),
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
	netlink_attributes(m, sizeof(*info), a, IFA_LOCAL + 1);
	i = list_find(arg, info->ifa_index);
	if (i && a[IFA_ADDRESS] && !is_link_local(a[IFA_ADDRESS]))
		i->addressed = true;
	return 0;
}

static void mark_routed(struct list *list, unsigned index)
{
	struct interface *i = list_find(list, index);

	if (i)
		i->routed = true;
}

/* The devices of a route with several next hops. */
static void mark_hops(struct list *list, const struct rtattr *hops)
{
	const struct rtnexthop *hop = RTA_DATA(hops);
	int len = (int)RTA_PAYLOAD(hops);

	for (; RTNH_OK(hop, len); hop = RTNH_NEXT(hop)) {
		mark_routed(list, (unsigned)hop->rtnh_ifindex);
		len -= RTNH_ALIGN(hop->rtnh_len);
	}
}

static int on_default_route(void *arg, const struct nlmsghdr *m)
{
	const struct rtmsg *route = NLMSG_DATA(m);
	const struct rtattr *a[RTA_MULTIPATH + 1];

	if (m->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len || route->rtm_type != RTN_UNICAST)
		return 0;
	netlink_attributes(m, sizeof(*route), a, RTA_MULTIPATH + 1);
	if (a[RTA_OIF])
		mark_routed(arg, *(const unsigned *)RTA_DATA(a[RTA_OIF]));
	if (a[RTA_MULTIPATH])
		mark_hops(arg, a[RTA_MULTIPATH]);
	return 0;
}

/* Without strict checking (Linux 4.20) the filter is not looked at and all routes come. */
static int dump_routes(
	struct netlink *route, uint8_t table, uint8_t type, netlink_fn *fn, void *arg)
{
	const struct rtmsg body = {.rtm_family = AF_UNSPEC, .rtm_table = table, .rtm_type = type};
	int strict = 1;

	setsockopt(route->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return netlink_dump(route, RTM_GETROUTE, &body, sizeof(body), fn, arg);
}

static int list_attempt(void *arg)
{
	const struct ifinfomsg links = {.ifi_family = AF_UNSPEC};
	const struct ifaddrmsg addresses = {.ifa_family = AF_UNSPEC};
	struct list *list = arg;
	int err;

	free(list->all);
	list->all = NULL;
	list->count = 0;
	err = netlink_dump(list->route, RTM_GETLINK, &links, sizeof(links), on_link, list);
	if (!err)
		err = netlink_dump(
			list->route, RTM_GETADDR, &addresses, sizeof(addresses), on_address, list);
	return err;
}

int interfaces_list(struct netlink *route, struct interface **ret, size_t *ret_count)
{
	struct list list = {.route = route};
	int err = netlink_repeat(list_attempt, &list);

	if (err) {
		free(list.all);
		return err;
	}
	*ret = list.all;
	*ret_count = list.count;
	return 0;
}

static int routed_attempt(void *arg)
{
	struct list *list = arg;

	return dump_routes(list->route, RT_TABLE_MAIN, 0, on_default_route, list);
}

int interfaces_mark_routed(struct netlink *route, struct interface *all, size_t count)
{
	struct list list = {.route = route, .all = all, .count = count};

	return netlink_repeat(routed_attempt, &list);
}

struct own_addresses {
	struct netlink *route;
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
	netlink_attributes(m, sizeof(*route), a, RTA_DST + 1);
	if (!a[RTA_DST] || RTA_PAYLOAD(a[RTA_DST]) < family_len(family))
		return 0;
	return prefixes_add(set, family, RTA_DATA(a[RTA_DST]), route->rtm_dst_len);
}

/* In every table: those of a VRF are in its own. */
static int own_attempt(void *arg)
{
	struct own_addresses *own = arg;
	int err;

	prefixes_clear(own->local);
	prefixes_clear(own->broadcast);
	err = dump_routes(own->route, RT_TABLE_UNSPEC, RTN_LOCAL, on_own_route, own);
	if (!err)
		err = dump_routes(own->route, RT_TABLE_UNSPEC, RTN_BROADCAST, on_own_route, own);
	return err;
}

int interfaces_local(struct netlink *route, struct prefixes *local, struct prefixes *broadcast)
{
	struct own_addresses own = {
		.route = route, .local = prefixes_new(), .broadcast = prefixes_new()};
	int err = -ENOMEM;

	if (own.local && own.broadcast)
		err = netlink_repeat(own_attempt, &own);
	if (!err) {
		prefixes_swap(local, own.local);
		prefixes_swap(broadcast, own.broadcast);
	}
	prefixes_free(own.local);
	prefixes_free(own.broadcast);
	return err;
}

/*
 * A notice holds one message. Loads of half-words come in network byte order, so the type is
 * compared with what its bytes give in that order.
 */
static int refuse_other_routes(int fd)
{
	enum { TYPE = offsetof(struct nlmsghdr, nlmsg_type) };
	enum { ROUTE = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_type) };
	enum { LENGTH = NLMSG_HDRLEN + offsetof(struct rtmsg, rtm_dst_len) };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 5),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, LENGTH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ROUTE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_LOCAL, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_BROADCAST, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

int interfaces_subscribe(int fd, bool filter)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	int err = filter ? refuse_other_routes(fd) : 0;

	if (!err && bind(fd, (struct sockaddr *)&address, sizeof(address)))
		err = -errno;
	return err;
}

/* A local route comes with each address; an address is one more reason for an interface. */
static unsigned change_of(const struct nlmsghdr *m)
{
	const struct rtmsg *route = NLMSG_DATA(m);

	switch (m->nlmsg_type) {
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (m->nlmsg_len < NLMSG_LENGTH(sizeof(*route)))
			return INTERFACES_ALL;
		if (route->rtm_type == RTN_LOCAL || route->rtm_type == RTN_BROADCAST)
			return INTERFACES_LOCAL;
		return route->rtm_dst_len ? 0 : INTERFACES_LINKS | INTERFACES_ROUTED;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return INTERFACES_LINKS | INTERFACES_LOCAL;
	default:
		return INTERFACES_LINKS;
	}
}

unsigned interfaces_changed(int fd)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[4096];
	} message;
	unsigned changed = 0;
	ssize_t len;

	while ((len = recv(fd, &message, sizeof(message), MSG_DONTWAIT)) >= 0 || errno == ENOBUFS) {
		if (len < 0)
			changed = INTERFACES_ALL;
		else if ((size_t)len >= sizeof(message.header))
			changed |= change_of(&message.header);
	}
	return changed;
}
