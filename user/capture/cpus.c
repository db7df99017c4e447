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

/* 1: a range; 0: the end of the list; -EINVAL. */
static int take_range(const char **at, size_t *ret_first, size_t *ret_last)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Branch): it knows nothing of read */
	if (!**at || **at == '\n')
		return 0;
	if (!take_number(at, ret_first))
		return -EINVAL;
	*ret_last = *ret_first;
	if (**at == '-') {
		(*at)++;
		if (!take_number(at, ret_last))
			return -EINVAL;
	}
	if (**at == ',')
		(*at)++;
	return 1;
}

static int read_list(const char *path, char list[static LIST_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
	ssize_t len;

	if (fd < 0)
		return -errno;
	do
		len = read(fd, list, LIST_MAX - 1);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		err = -errno;
	close(fd);
	list[len > 0 ? len : 0] = '\0';
	return err;
}

int cpus_read(const char *path, bool *listed, size_t count)
{
	char list[LIST_MAX] = "";
	const char *at = list;
	size_t first, last;
	int got = read_list(path, list);

	if (got)
		return got;
	memset(listed, 0, count * sizeof(*listed));
	while ((got = take_range(&at, &first, &last)) > 0)
		for (size_t i = first; i <= last && i < count; i++)
			listed[i] = true;
	return got;
}

int cpus_bound(const char *path)
{
	char list[LIST_MAX] = "";
	const char *at = list;
	size_t first, last, bound = 0;
	int got = read_list(path, list);

	if (got)
		return got;
	while ((got = take_range(&at, &first, &last)) > 0)
		if (last >= bound)
			bound = last < CPUS_MAX ? last + 1 : CPUS_MAX;
	return got < 0 ? got : bound ? (int)bound : -EINVAL;
}
