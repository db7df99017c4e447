/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/container.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

/* The id that begins here; a longer run of digits is none, nor one in the middle of a word. */
static bool is_id(const char *begin, const char *at)
{
	if (strspn(at, digits) != CONTAINER_DIGITS)
		return false;
	if (at > begin && !strchr("/-:", at[-1]))
		return false;
	return !at[CONTAINER_DIGITS] || strchr("/.\n", at[CONTAINER_DIGITS]);
}

bool container_of_cgroup(const char *cgroup, char id[static CONTAINER_DIGITS + 1])
{
	size_t len = strlen(cgroup);

	id[0] = '\0';
	if (len < CONTAINER_DIGITS)
		return false;
	for (const char *at = cgroup + len - CONTAINER_DIGITS;; at--) {
		if (is_id(cgroup, at)) {
			memcpy(id, at, CONTAINER_DIGITS);
			id[CONTAINER_DIGITS] = '\0';
			return true;
		}
		if (at == cgroup)
			return false;
	}
}

bool container_is(const char *wanted, const char *id)
{
	size_t len = strlen(wanted);

	return len >= CONTAINER_SHORT_DIGITS && !strncmp(wanted, id, len);
}
