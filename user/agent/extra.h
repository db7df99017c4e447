/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The dnstap `extra` field from a template: text with placeholders in braces.
 *
 *   {interface}  the name of the interface whose packet completed the message; empty: unknown
 *   {vlan}       its innermost VLAN id; empty: none
 *   {{ and }}    a brace
 *
 * Names of interfaces are asked of the kernel once for each index. One thread.
 */
#ifndef AGENT_EXTRA_H
#define AGENT_EXTRA_H

#include <stddef.h>

#include "base/flow.h"
#include "dnstap/message.h"

enum { EXTRA_ERROR_MAX = 256 };

struct extra;

/* 0, -ENOMEM, or -EINVAL and error holds one line that says what is wrong. */
int extra_new(const char *template, struct extra **ret, char error[static EXTRA_ERROR_MAX]);
void extra_free(struct extra *extra);

/* The text for a message of this origin; valid until the next call, at most MESSAGE_TEXT_MAX. */
struct bytes extra_format(struct extra *extra, const struct origin *origin);

#endif
