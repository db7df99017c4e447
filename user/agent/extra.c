/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/extra.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of recently seen interfaces; an index that shares a slot is asked for again. */
enum { NAMES = 64, PARTS_MAX = 64 };

enum part_kind { LITERAL, INTERFACE, VLAN, NETNS, CONTAINER };

struct part {
	enum part_kind kind;
	const char *text; /* LITERAL: len bytes of the template */
	size_t len;
};

struct extra {
	char template[MESSAGE_TEXT_MAX + 1];
	struct part parts[PARTS_MAX];
	size_t count;
	struct extra_names source;
	struct {
		uint32_t ifindex; /* 0: none */
		uint16_t tap;
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
	} known[] = {{"{interface}", INTERFACE}, {"{vlan}", VLAN}, {"{netns}", NETNS},
		{"{container}", CONTAINER}};

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
		"--extra: not understood at '%.40s': use {interface}, {vlan}, {netns}, "
		"{container}, {{ and }}",
		at);
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

void extra_set_names(struct extra *e, const struct extra_names *names)
{
	if (e)
		e->source = *names;
}

void extra_forget(struct extra *e)
{
	if (e)
		memset(e->names, 0, sizeof(e->names));
}

static const char *interface_of(struct extra *e, const struct origin *origin)
{
	size_t at = (origin->ifindex + 7u * origin->tap) % NAMES;
	char *name = e->names[at].name;

	if (!origin->ifindex || !e->source.interface)
		return "";
	if (e->names[at].ifindex != origin->ifindex || e->names[at].tap != origin->tap) {
		e->names[at].ifindex = origin->ifindex;
		e->names[at].tap = origin->tap;
		snprintf(name, IF_NAMESIZE, "%s",
			e->source.interface(e->source.arg, origin->tap, origin->ifindex));
		/* the kernel takes nearly any bytes for a name */
		if (!message_text_valid(name))
			name[0] = '\0';
	}
	return name;
}

static const char *text_of(struct extra *e, enum part_kind kind, const struct origin *origin)
{
	bool live = origin->ifindex && e->source.netns; /* else its tap says nothing */

	if (kind == INTERFACE)
		return interface_of(e, origin);
	if (kind == NETNS && live)
		return e->source.netns(e->source.arg, origin->tap);
	if (kind == CONTAINER && live)
		return e->source.container(e->source.arg, origin->tap);
	return "";
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

		if (p->kind == VLAN)
			text = vlan;
		else if (p->kind != LITERAL)
			text = text_of(e, p->kind, origin);
		append(e, text, p->kind == LITERAL ? p->len : strlen(text));
	}
	return (struct bytes){.at = (const uint8_t *)e->text, .len = e->len};
}
