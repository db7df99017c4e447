/* SPDX-License-Identifier: BSD-2-Clause */
#include "wire/stream_stubs.h"

struct table *stream_stubs_new(void)
{
	return table_new(STREAMS_STUBS, sizeof(struct flow), sizeof(struct stream_stub));
}

static bool stale(const struct stream_stub *stub, uint64_t now)
{
	return now - stub->time > STREAMS_IDLE_NS;
}

/* The stub of these addresses, now the youngest; blank if it was too old to mean anything. */
static struct stream_stub *stub_for(struct table *stubs, const struct flow *key, uint64_t now)
{
	struct stream_stub *stub = table_find(stubs, key);

	if (stub) {
		table_touch(stubs, stub);
		if (stale(stub, now))
			*stub = (struct stream_stub){0};
	} else {
		if (table_full(stubs))
			table_remove(stubs, table_oldest(stubs));
		stub = table_add(stubs, key);
	}
	stub->time = now;
	return stub;
}

void stream_stubs_syn(struct table *stubs, const struct flow *key, int dir, uint32_t first,
	bool answer, uint64_t now)
{
	struct stream_stub *stub = stub_for(stubs, key, now);

	/* Only an answer, or the same SYN again, leaves what is known of the other direction. */
	if (stub->closed || (!answer && stub->next[dir] != first))
		*stub = (struct stream_stub){.time = now};
	stub->next[dir] = first;
	stub->known[dir] = stub->between[dir] = stub->opened[dir] = true;
}

void stream_stubs_leave(struct table *stubs, const struct flow *key,
	const struct stream_half half[2], bool closed, uint64_t now)
{
	struct stream_stub *stub = stub_for(stubs, key, now);

	*stub = (struct stream_stub){.time = now, .closed = closed};
	for (int dir = 0; dir < 2; dir++) {
		stub->next[dir] = half[dir].next;
		stub->known[dir] = half[dir].state != STREAM_UNKNOWN;
		stub->between[dir] = stream_half_between(&half[dir]);
	}
}

const struct stream_stub *stream_stubs_continued(
	const struct table *stubs, const struct flow *key, int dir, uint32_t seq, uint64_t now)
{
	const struct stream_stub *stub = table_find(stubs, key);

	if (!stub || stale(stub, now))
		return NULL;
	if (!stub->known[dir])
		return stub->closed ? NULL : stub;
	if (!stream_in_window(seq, stub->next[dir]))
		return NULL;
	if (stub->closed && stream_distance(seq, stub->next[dir]) > 0)
		return NULL;
	return stub;
}

void stream_stub_resume(const struct stream_stub *stub, struct stream_half half[2])
{
	for (int dir = 0; dir < 2; dir++) {
		stream_half_init(&half[dir]);
		if (!stub || !stub->known[dir])
			continue;
		half[dir].next = half[dir].start = stub->next[dir];
		half[dir].started = stub->opened[dir];
		half[dir].state = stub->between[dir] ? STREAM_IN_SYNC : STREAM_SEARCHING;
	}
}
