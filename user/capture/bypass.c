/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/xdp_diag.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PROTOCOLS_MAX = 16384 };

struct list {
	struct netlink *diag;
	unsigned *indexes;
	size_t count, max;
};

static void add(struct list *list, unsigned index)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->indexes[i] == index)
			return;
	if (index && list->count < list->max)
		list->indexes[list->count++] = index;
}

static int on_socket(void *arg, const struct nlmsghdr *m)
{
	const struct rtattr *a[XDP_DIAG_INFO + 1];
	const struct xdp_diag_info *info;

	if (m->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	netlink_attributes(m, sizeof(struct xdp_diag_msg), a, XDP_DIAG_INFO + 1);
	if (!a[XDP_DIAG_INFO] || RTA_PAYLOAD(a[XDP_DIAG_INFO]) < sizeof(*info))
		return 0;
	info = RTA_DATA(a[XDP_DIAG_INFO]);
	add(arg, info->ifindex);
	return 0;
}

static int list_attempt(void *arg)
{
	const struct xdp_diag_req request = {.sdiag_family = AF_XDP, .xdiag_show = XDP_SHOW_INFO};
	struct list *list = arg;

	list->count = 0;
	return netlink_dump(
		list->diag, SOCK_DIAG_BY_FAMILY, &request, sizeof(request), on_socket, list);
}

int bypass_list(struct netlink *diag, unsigned *ret, size_t max)
{
	struct list list = {.diag = diag, .indexes = ret, .max = max};
	int err;

	if (diag->fd < 0)
		return -ENOENT;
	err = netlink_repeat(list_attempt, &list);
	return err ? err : (int)list.count;
}

int bypass_open(void)
{
	int fd = open("/proc/self/net/protocols", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A line for each protocol: its name, the size of a socket, how many there are, ... */
static int parse_count(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n"))) {
		if (strncmp(line, "XDP ", 4))
			continue;
		strtoul(line + 4, &line, 10);
		return (int)strtol(line, NULL, 10);
	}
	return 0;
}

int bypass_count(int fd)
{
	char text[PROTOCOLS_MAX];
	size_t len = 0;
	ssize_t got;

	while ((got = pread(fd, text + len, sizeof(text) - 1 - len, (off_t)len)) > 0)
		len += (size_t)got;
	if (got < 0)
		return -errno;
	text[len] = '\0';
	return parse_count(text);
}
