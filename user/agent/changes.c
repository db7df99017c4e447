/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/changes.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

enum { ENTRY_MAX = 128, MORE_MAX = 32 };

void changes_add(struct changes *c, const char *netns, const char *interface, bool attached)
{
	char *text = attached ? c->attached : c->detached, entry[ENTRY_MAX];
	size_t *more = attached ? &c->attached_more : &c->detached_more;
	size_t used = strlen(text);

	snprintf(entry, sizeof(entry), "%s%s%s%s", used ? ", " : "", interface,
		*netns ? " of " : "", netns);
	if (*more || used + strlen(entry) >= CHANGES_TEXT_MAX)
		(*more)++;
	else
		strcpy(text + used, entry);
}

/* Counted from before the clock's zero, so that a machine that has just started has its lines. */
static bool take_line(struct changes *c, uint64_t now)
{
	const uint64_t period = CHANGES_EVERY_S * NS_PER_SECOND, most = CHANGES_LINES * period;

	now += most;
	if (c->lines_from + most < now)
		c->lines_from = now - most;
	if (c->lines_from + period > now)
		return false;
	c->lines_from += period;
	return true;
}

static const char *more_text(size_t more, char text[static MORE_MAX])
{
	text[0] = '\0';
	if (more)
		snprintf(text, MORE_MAX, " and %zu more", more);
	return text;
}

void changes_tell(struct changes *c, uint64_t now)
{
	char attached[MORE_MAX], detached[MORE_MAX];

	if ((!*c->attached && !*c->detached) || !take_line(c, now))
		return;
	more_text(c->attached_more, attached);
	more_text(c->detached_more, detached);
	if (*c->attached && *c->detached)
		log_info("now watching %s%s; no longer %s%s", c->attached, attached, c->detached,
			detached);
	else if (*c->attached)
		log_info("now watching %s%s", c->attached, attached);
	else
		log_info("no longer watching %s%s", c->detached, detached);
	c->attached[0] = c->detached[0] = '\0';
	c->attached_more = c->detached_more = 0;
}
