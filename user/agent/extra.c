/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/extra.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of recently seen interfaces; an index that shares a slot is asked for again. */
enum { NAMES = 64, PARTS_MAX = 64 };

enum part_kind { LITERAL, INTERFACE, VLAN };

struct part {
	enum part_kind kind;
	const char *text; /* LITERAL: len bytes of the template */
	size_t len;
};

struct extra {
	char template[MESSAGE_TEXT_MAX + 1];
	struct part parts[PARTS_MAX];
	size_t count;
	struct {
		uint32_t ifindex;
		char name[IF_NAMESIZE];
	} names[NAMES];
	char text[MESSAGE_TEXT_MAX + 1];
	size_t len;
};

static int add_part(struct extra *e, enum part_kind kind, const char *text, size_t len)
{
	if (e->count == PARTS_MAX)
		return -EINVAL;
	e->parts[e->count++] = (struct part){.kind = kind, .text = text, .len = len};
	return 0;
}

/* What begins with a brace: a doubled one or a placeholder. Returns its length, 0 if neither. */
static size_t add_braced(struct extra *e, const char *at)
{
	static const struct {
		const char *name;
		enum part_kind kind;
	} known[] = {{"{interface}", INTERFACE}, {"{vlan}", VLAN}};

	if (at[0] == at[1])
		return add_part(e, LITERAL, at, 1) ? 0 : 2;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t len = strlen(known[i].name);

		if (!strncmp(at, known[i].name, len))
			return add_part(e, known[i].kind, NULL, 0) ? 0 : len;
	}
	return 0;
}

static int parse(struct extra *e, char *error)
{
	const char *at = e->template;

	while (*at) {
		size_t len = strcspn(at, "{}");

		if (len) {
			if (add_part(e, LITERAL, at, len))
				break;
		} else {
			len = add_braced(e, at);
		}
		if (!len)
			break;
		at += len;
	}
	if (!*at)
		return 0;
	snprintf(error, EXTRA_ERROR_MAX,
		"--extra: not understood at '%.40s': use {interface}, {vlan}, {{ and }}", at);
	return -EINVAL;
}

int extra_new(const char *template, struct extra **ret, char error[static EXTRA_ERROR_MAX])
{
	struct extra *e;
	int err;

	if (!message_text_valid(template)) {
		snprintf(error, EXTRA_ERROR_MAX, "--extra: give at most %d bytes of UTF-8",
			MESSAGE_TEXT_MAX);
		return -EINVAL;
	}
	e = calloc(1, sizeof(*e));
	if (!e) {
		snprintf(error, EXTRA_ERROR_MAX, "--extra: out of memory");
		return -ENOMEM;
	}
	strcpy(e->template, template);
	err = parse(e, error);
	if (err) {
		extra_free(e);
		return err;
	}
	*ret = e;
	return 0;
}

void extra_free(struct extra *e)
{
	free(e);
}

static void append(struct extra *e, const char *text, size_t len)
{
	if (len > MESSAGE_TEXT_MAX - e->len) {
		len = MESSAGE_TEXT_MAX - e->len;
		while (len && ((uint8_t)text[len] & 0xc0) == 0x80) /* not inside a character */
			len--;
	}
	memcpy(e->text + e->len, text, len);
	e->len += len;
}

static const char *name_of(struct extra *e, uint32_t ifindex)
{
	char *name = e->names[ifindex % NAMES].name;

	if (!ifindex)
		return "";
	if (e->names[ifindex % NAMES].ifindex != ifindex) {
		e->names[ifindex % NAMES].ifindex = ifindex;
		/* the kernel takes nearly any bytes for a name */
		if (!if_indextoname(ifindex, name) || !message_text_valid(name))
			name[0] = '\0';
	}
	return name;
}

struct bytes extra_format(struct extra *e, const struct origin *origin)
{
	char vlan[8] = "";

	e->len = 0;
	if (origin->vlan)
		snprintf(vlan, sizeof(vlan), "%u", origin->vlan);
	for (size_t i = 0; i < e->count; i++) {
		const struct part *p = &e->parts[i];
		const char *text = p->text;

		if (p->kind == INTERFACE)
			text = name_of(e, origin->ifindex);
		else if (p->kind == VLAN)
			text = vlan;
		append(e, text, p->kind == LITERAL ? p->len : strlen(text));
	}
	return (struct bytes){.at = (const uint8_t *)e->text, .len = e->len};
}
