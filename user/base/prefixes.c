/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/prefixes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/flow.h"

/* The prefixes of one family and length, masked, sorted, each once. */
struct level {
	uint8_t family;
	unsigned len;
	size_t count, room;
	uint8_t (*sorted)[16];
};

struct prefixes {
	struct level *levels;
	size_t count;
};

struct prefixes *prefixes_new(void)
{
	return calloc(1, sizeof(struct prefixes));
}

void prefixes_clear(struct prefixes *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->levels[i].sorted);
	free(p->levels);
	*p = (struct prefixes){0};
}

void prefixes_swap(struct prefixes *a, struct prefixes *b)
{
	struct prefixes was = *a;

	*a = *b;
	*b = was;
}

void prefixes_free(struct prefixes *p)
{
	if (!p)
		return;
	prefixes_clear(p);
	free(p);
}

void prefix_cut(const uint8_t *address, unsigned len, uint8_t cut[static 16])
{
	memset(cut, 0, 16);
	memcpy(cut, address, len / 8);
	if (len % 8)
		cut[len / 8] = address[len / 8] & (uint8_t)(0xff00 >> (len % 8));
}

/* Where key stands, or would stand, in the level. */
static size_t level_place(const struct level *l, const uint8_t key[static 16], bool *ret_found)
{
	size_t low = 0, high = l->count;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(l->sorted[middle], key, 16);

		if (!order) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct level *level_open(struct prefixes *p, uint8_t family, unsigned len)
{
	struct level *more;

	for (size_t i = 0; i < p->count; i++)
		if (p->levels[i].family == family && p->levels[i].len == len)
			return &p->levels[i];
	more = realloc(p->levels, (p->count + 1) * sizeof(*more));
	if (!more)
		return NULL;
	p->levels = more;
	more[p->count] = (struct level){.family = family, .len = len};
	return &more[p->count++];
}

static int level_insert(struct level *l, size_t at, const uint8_t key[static 16])
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 8;
		void *more = realloc(l->sorted, room * sizeof(*l->sorted));

		if (!more)
			return -ENOMEM;
		l->sorted = more;
		l->room = room;
	}
	memmove(l->sorted + at + 1, l->sorted + at, (l->count - at) * sizeof(*l->sorted));
	memcpy(l->sorted[at], key, 16);
	l->count++;
	return 0;
}

int prefixes_add(struct prefixes *p, uint8_t family, const uint8_t *address, unsigned len)
{
	struct level *l;
	uint8_t key[16];
	bool found;
	size_t at;

	if (len > 8 * family_len(family))
		return -EINVAL;
	l = level_open(p, family, len);
	if (!l)
		return -ENOMEM;
	prefix_cut(address, len, key);
	at = level_place(l, key, &found);
	return found ? 0 : level_insert(l, at, key);
}

int prefixes_add_all(struct prefixes *to, const struct prefixes *from)
{
	int err = 0;

	for (size_t i = 0; i < from->count; i++) {
		const struct level *l = &from->levels[i];

		for (size_t j = 0; j < l->count && !err; j++)
			err = prefixes_add(to, l->family, l->sorted[j], l->len);
	}
	return err;
}

bool prefixes_contain(const struct prefixes *p, uint8_t family, const uint8_t address[16])
{
	for (size_t i = 0; i < p->count; i++) {
		uint8_t key[16];
		bool found;

		if (p->levels[i].family != family)
			continue;
		prefix_cut(address, p->levels[i].len, key);
		level_place(&p->levels[i], key, &found);
		if (found)
			return true;
	}
	return false;
}
