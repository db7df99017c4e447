/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/assembly.h"

#include <linux/if_packet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

enum { PACKET_ROOM = RECORD_BYTES_MAX * RECORD_PARTS_MAX, VLAN_ID = 0x0fff };

void assembly_done(struct assembly *a)
{
	for (int i = 0; i < ASSEMBLY_JOINTS; i++) {
		free(a->joints[i].bytes);
		a->joints[i].bytes = NULL;
	}
}

uint64_t assembly_peek_time(const void *data, size_t size)
{
	struct record r;

	if (size < sizeof(r))
		return 0;
	memcpy(&r, data, sizeof(r));
	return r.time;
}

static void describe(const struct record *r, const uint8_t *bytes, struct captured *packet)
{
	*packet = (struct captured){
		.time = r->time,
		.bytes = bytes,
		.source = {.have = r->have,
			.wire = r->wire,
			.ethertype = r->ethertype,
			.gso_size = r->gso_size},
		.ifindex = r->ifindex,
		.tap = r->tap,
		.vlan = r->flags & RECORD_VLAN ? r->vlan_tci & VLAN_ID : 0,
		.outgoing = (r->flags & RECORD_PACKET_TYPE) == PACKET_OUTGOING,
	};
}

/* A place for a new packet: a free one, else that of the oldest. */
static struct joint *joint_open(struct assembly *a)
{
	struct joint *oldest = &a->joints[0];

	for (int i = 0; i < ASSEMBLY_JOINTS; i++) {
		struct joint *j = &a->joints[i];

		if (!j->have)
			return j;
		if (j->packet.time < oldest->packet.time)
			oldest = j;
	}
	oldest->have = 0;
	return oldest;
}

static struct joint *joint_of(struct assembly *a, const struct record *r)
{
	for (int i = 0; i < ASSEMBLY_JOINTS; i++) {
		struct joint *j = &a->joints[i];

		if (j->have && j->have == r->offset && j->packet.time == r->time)
			return j;
	}
	return NULL;
}

static bool append(struct joint *j, const struct record *r, const uint8_t *bytes)
{
	if (!j->bytes)
		j->bytes = malloc(PACKET_ROOM);
	if (!j->bytes || r->have > PACKET_ROOM - j->have)
		return false;
	memcpy(j->bytes + j->have, bytes, r->have);
	j->have += r->have;
	return true;
}

/* A part that is not full, or that reaches the packet's end or the most the kernel sends of it. */
static bool is_last(const struct record *r)
{
	return r->have < RECORD_BYTES_MAX || r->have >= r->wire - r->offset ||
	       r->offset / RECORD_BYTES_MAX == RECORD_PARTS_MAX - 1;
}

static size_t take_part(struct assembly *a, const struct record *r, const uint8_t *bytes,
	captured_fn *fn, void *arg)
{
	struct joint *j = r->offset ? joint_of(a, r) : joint_open(a);

	if (!j)
		return 0; /* a part before it found no room: the kernel counted the packet */
	if (!r->offset)
		describe(r, bytes, &j->packet);
	if (!append(j, r, bytes)) {
		j->have = 0;
		a->broken++;
		return 0;
	}
	if (!is_last(r))
		return 0;
	j->packet.bytes = j->bytes;
	j->packet.source.have = j->have;
	j->have = 0;
	fn(arg, &j->packet);
	return 1;
}

size_t assembly_take(struct assembly *a, const void *data, size_t size, captured_fn *fn, void *arg)
{
	const uint8_t *bytes = (const uint8_t *)data + sizeof(struct record);
	struct captured packet;
	struct record r;

	if (size < sizeof(r)) {
		a->broken++;
		return 0;
	}
	memcpy(&r, data, sizeof(r));
	if (r.version != RECORD_VERSION || r.have > size - sizeof(r) || r.offset > r.wire ||
		r.have > r.wire - r.offset) {
		a->broken++;
		return 0;
	}
	if (r.offset || !is_last(&r))
		return take_part(a, &r, bytes, fn, arg);
	describe(&r, bytes, &packet);
	fn(arg, &packet);
	return 1;
}
