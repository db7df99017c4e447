/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dnstap `extra` field from a template: text with placeholders in braces.
 *
 *   {interface}  the name of the interface whose packet completed the message; empty: unknown
 *   {vlan}       its innermost VLAN id; empty: none
 *   {netns}      the name of the network namespace it is in; empty: the tap's own
 *   {container}  the id of the container whose namespace that is; empty: none
 *   {{ and }}    a brace
 *
 * Names are looked up once for each interface and kept until extra_forget. One thread.
 */
#ifndef AGENT_EXTRA_H
#define AGENT_EXTRA_H

#include <stddef.h>

#include "base/flow.h"
#include "dnstap/message.h"

enum { EXTRA_ERROR_MAX = 256 };

struct extra;

/* What a record's numbers stand for; never NULL. */
struct extra_names {
	const char *(*interface)(const void *arg, uint16_t tap, uint32_t ifindex);
	const char *(*netns)(const void *arg, uint16_t tap);
	const char *(*container)(const void *arg, uint16_t tap);
	const void *arg;
};

/* 0, -ENOMEM, or -EINVAL and error holds one line that says what is wrong. */
int extra_new(const char *template, struct extra **ret, char error[static EXTRA_ERROR_MAX]);
void extra_free(struct extra *extra);

/* Until then, and in a replay, the placeholders but {vlan} are empty. NULL for extra is fine. */
void extra_set_names(struct extra *extra, const struct extra_names *names);
/* Some names may have changed. NULL is fine. */
void extra_forget(struct extra *extra);

/* The text for a message of this origin; valid until the next call, at most MESSAGE_TEXT_MAX. */
struct bytes extra_format(struct extra *extra, const struct origin *origin);

#endif
