/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/cpus.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = 4096 };

static bool take_number(const char **at, size_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	*ret = strtoul(*at, &end, 10);
	*at = end;
	return true;
}

int cpus_parse(const char *list, bool *online, size_t count)
{
	memset(online, 0, count * sizeof(*online));
	while (*list && *list != '\n') {
		size_t first, last;

		if (!take_number(&list, &first))
			return -EINVAL;
		last = first;
		if (*list == '-') {
			list++;
			if (!take_number(&list, &last))
				return -EINVAL;
		}
		for (size_t i = first; i <= last && i < count; i++)
			online[i] = true;
		if (*list == ',')
			list++;
	}
	return 0;
}

int cpus_online(bool *online, size_t count)
{
	int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC), err = 0;
	char list[LIST_MAX];
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, list, sizeof(list) - 1);
	if (len < 0)
		err = -errno;
	close(fd);
	if (err)
		return err;
	list[len] = '\0';
	return cpus_parse(list, online, count);
}
