/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line for the interfaces that were attached and detached since the last one, and no more than
 * CHANGES_LINES lines at once and one every CHANGES_EVERY_S seconds: a node whose containers come
 * and go has thousands of changes a day. What finds no room, or no line, is told as a number. It
 * logs. One thread.
 */
#ifndef AGENT_CHANGES_H
#define AGENT_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHANGES_LINES = 10, CHANGES_EVERY_S = 10, CHANGES_TEXT_MAX = 300 };

struct changes {
	char attached[CHANGES_TEXT_MAX], detached[CHANGES_TEXT_MAX];
	size_t attached_more, detached_more; /* not named in the texts */
	uint64_t lines_from;                 /* as if a line had been used each period since */
};

/* netns: its name; empty: our own. */
void changes_add(struct changes *changes, const char *netns, const char *interface, bool attached);
/* Logs what was added since, or keeps it for later. now: monotonic ns. */
void changes_tell(struct changes *changes, uint64_t now);

#endif
