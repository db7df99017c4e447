/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/taps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/changes.h"
#include "agent/space.h"
#include "base/clock.h"
#include "base/log.h"

enum {
	SLOTS = TAPS_NETNS_MAX + 1, /* 0: our own */
	NAMES_MAX = 512,
	EVENTS_MAX = 64,
	TIMER = SLOTS, /* beside the slots, in epoll's data */
};

struct taps {
	struct space_shared shared;
	struct space *spaces[SLOTS];
	uint64_t freed[SLOTS]; /* monotonic ns when the slot became free; 0: never used */
	size_t turn;           /* the slot whose look comes first */
	int epoll_fd, timer_fd;
	uint64_t scan_at; /* monotonic ns; UINT64_MAX: without --netns */
	bool scanning;    /* found[next] and those behind it are still to be taken */
	size_t found_count, next;
	bool refused_told, crowded_told;
	uint64_t blind_from; /* monotonic ns of the first listing that failed; 0: none since */
	int blind_told;      /* why, as it was told last */
	struct changes changes;
	struct netns_entry found[NETNS_MAX];
	char names[NAMES_MAX];
};

static int watch_fd(struct taps *t, int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void on_report(void *arg, const struct space *space, const char *interface, bool attached)
{
	struct taps *t = arg;

	changes_add(&t->changes, space->entry.name, interface, attached);
}

static int add_space(struct taps *t, const struct netns_entry *entry, uint16_t slot)
{
	struct space *space;
	int err = space_new(&t->shared, entry, slot, &space);

	if (!err) {
		err = watch_fd(t, space->watch_fd, slot);
		if (err)
			space_free(space, t->shared.closer);
	}
	if (!err)
		t->spaces[slot] = space;
	return err;
}

static int open_own(struct taps *t)
{
	int err;

	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	t->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	t->shared.closer = closer_new();
	if (t->epoll_fd < 0 || t->timer_fd < 0 || !t->shared.closer)
		err = -errno;
	else
		err = watch_fd(t, t->timer_fd, TIMER);
	if (!err)
		err = add_space(t, NULL, 0);
	if (err)
		log_error("cannot follow the interfaces: %s", strerror(-err));
	return err;
}

/* The slot that has been free for longest, or 0. */
static uint16_t free_slot(const struct taps *t)
{
	uint16_t found = 0;

	for (size_t i = 1; i < SLOTS; i++)
		if (!t->spaces[i] && (!found || t->freed[i] < t->freed[found]))
			found = (uint16_t)i;
	return found;
}

static struct space *find_space(const struct taps *t, uint64_t id)
{
	for (size_t i = 1; i < SLOTS; i++)
		if (t->spaces[i] && !t->spaces[i]->dead && t->spaces[i]->entry.id == id)
			return t->spaces[i];
	return NULL;
}

/* One line for all that cannot be entered, until one can: each scan tries all of them again. */
static void tell_refused(struct taps *t, const struct netns_entry *entry, int err)
{
	/* It may be gone already; the opener's silence is told elsewhere, and so are too many. */
	if (err == -ENOENT || err == -ETIMEDOUT || err == -ENOSPC || t->refused_told)
		return;
	t->refused_told = true;
	log_warn("cannot watch network namespace %s: %s%s", entry->name, strerror(-err),
		err == -EPERM ? "; CAP_SYS_ADMIN is needed to enter it" : "");
}

static void tell_crowded(struct taps *t)
{
	bool crowded = t->found_count > TAPS_NETNS_MAX;

	if (crowded && !t->crowded_told)
		log_warn("more than %d network namespaces: those that came last are not watched; "
			 "name with --netns those that matter",
			TAPS_NETNS_MAX);
	t->crowded_told = crowded;
}

static bool enter_space(struct taps *t, const struct netns_entry *entry, bool first)
{
	uint16_t slot = free_slot(t);
	int err = slot ? add_space(t, entry, slot) : -ENOSPC;

	if (err) {
		tell_refused(t, entry, err);
		return false;
	}
	t->refused_told = false;
	t->spaces[slot]->found = true;
	space_look(t->spaces[slot], &t->shared, first);
	return true;
}

static bool take_found(struct taps *t, const struct netns_entry *entry, bool first)
{
	struct space *space = find_space(t, entry->id);

	if (!space)
		return enter_space(t, entry, first);
	space->found = true;
	space->entry = *entry;
	return false;
}

/* What was not found has neither process nor name: only our sockets hold it. */
static bool let_go_lost(struct taps *t)
{
	bool changed = false;

	for (size_t i = 1; i < SLOTS; i++) {
		struct space *space = t->spaces[i];

		if (!space || space->dead || space->found)
			continue;
		space_let_go(space, &t->shared);
		changed = true;
	}
	return changed;
}

static void begin_finding(struct taps *t)
{
	for (size_t i = 1; i < SLOTS; i++)
		if (t->spaces[i])
			t->spaces[i]->found = false;
}

/* True when it let namespaces go: our sockets may be all that holds them. */
static bool on_blind(struct taps *t, int err, uint64_t now)
{
	/* Of many processes the list takes longer, and is had then; it is told elsewhere. */
	bool slow = err == -ETIMEDOUT;

	t->scan_at = now + (slow ? SPACE_AGAIN_NS : TAPS_SCAN_S * NS_PER_SECOND);
	if (!t->blind_from)
		t->blind_from = now;
	if (!slow && t->blind_told != err) {
		log_warn("cannot list the network namespaces: %s", strerror(-err));
		t->blind_told = err;
	}
	if (now - t->blind_from < TAPS_BLIND_S * NS_PER_SECOND)
		return false;
	begin_finding(t);
	if (!let_go_lost(t))
		return false;
	log_warn("the other network namespaces are not watched until they can be listed again: "
		 "watching would keep those alive that have ended");
	return true;
}

/* True when something changed. */
static bool begin_scan(struct taps *t)
{
	const struct taps_source *source = &t->shared.source;
	int count = source->list(source->arg, t->found, NETNS_MAX);
	uint64_t now = clock_monotonic();

	if (count < 0)
		return on_blind(t, count, now);
	t->blind_from = 0;
	t->blind_told = 0;
	t->scan_at = now + TAPS_SCAN_S * NS_PER_SECOND;
	t->scanning = true;
	t->found_count = (size_t)count;
	t->next = 0;
	tell_crowded(t);
	begin_finding(t);
	return false;
}

static bool go_on_scanning(struct taps *t, bool first, uint64_t until)
{
	bool changed = false;

	while (t->scanning && clock_monotonic() < until) {
		if (t->next < t->found_count) {
			changed |= take_found(t, &t->found[t->next++], first);
		} else {
			changed |= let_go_lost(t);
			t->scanning = false;
		}
	}
	return changed;
}

static bool look(struct taps *t, uint64_t now, uint64_t until)
{
	bool changed = false;

	for (size_t i = 0; i < SLOTS && clock_monotonic() < until; i++) {
		struct space *space = t->spaces[t->turn];

		if (space && space_due(space) <= now)
			changed |= space_look(space, &t->shared, false) > 0;
		t->turn = (t->turn + 1) % SLOTS;
	}
	return changed;
}

static void set_timer(struct taps *t)
{
	uint64_t at = t->scanning ? 1 : t->scan_at;
	struct itimerspec when = {0};

	for (size_t i = 0; i < SLOTS; i++)
		if (t->spaces[i] && space_due(t->spaces[i]) < at)
			at = space_due(t->spaces[i]);
	if (at != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(at / NS_PER_SECOND);
		when.it_value.tv_nsec = (long)(at % NS_PER_SECOND);
	}
	timerfd_settime(t->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

int taps_new(const struct options *options, struct loader *loader, const struct taps_source *source,
	struct taps **ret)
{
	struct taps *t = calloc(1, sizeof(*t));
	int err;

	if (!t) {
		log_error("cannot watch: out of memory");
		return -ENOMEM;
	}
	t->shared = (struct space_shared){.options = options,
		.loader = loader,
		.source = *source,
		.report = on_report,
		.arg = t};
	t->epoll_fd = t->timer_fd = -1;
	t->scan_at = UINT64_MAX;
	err = open_own(t);
	if (!err)
		err = space_look(t->spaces[0], &t->shared, true);
	if (err) {
		taps_free(t);
		return err;
	}
	if (options->netns_count) {
		begin_scan(t);
		go_on_scanning(t, true, UINT64_MAX);
	}
	set_timer(t);
	*ret = t;
	return 0;
}

void taps_free(struct taps *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		space_free(t->spaces[i], t->shared.closer);
	closer_free(t->shared.closer);
	if (t->timer_fd >= 0)
		close(t->timer_fd);
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
	free(t);
}

int taps_fd(const struct taps *t)
{
	return t->epoll_fd;
}

static void take_events(struct taps *t, uint64_t now)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(t->epoll_fd, events, EVENTS_MAX, 0);
	uint64_t expired;

	for (int i = 0; i < count; i++) {
		if (events[i].data.u64 < SLOTS)
			space_notice(t->spaces[events[i].data.u64], now);
		else if (read(t->timer_fd, &expired, sizeof(expired)) < 0)
			log_debug("the timer rang for nothing");
	}
}

bool taps_follow(struct taps *t)
{
	uint64_t now = clock_monotonic(), until = now + TAPS_STEP_MS * NS_PER_MS;
	bool changed;

	take_events(t, now);
	changed = look(t, now, until);
	if (t->scan_at <= now && !t->scanning)
		changed |= begin_scan(t);
	changed |= go_on_scanning(t, false, until);
	changes_tell(&t->changes, now);
	set_timer(t);
	return changed;
}

void taps_drained(struct taps *t, uint64_t before)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (!t->spaces[i] || !space_forget(t->spaces[i], t->shared.closer, before))
			continue;
		space_free(t->spaces[i], t->shared.closer);
		t->spaces[i] = NULL;
		t->freed[i] = clock_monotonic();
	}
}

static void add_text(char *text, size_t size, const char *separator, const char *name)
{
	size_t used = strlen(text);

	snprintf(text + used, size - used, "%s%s", used ? separator : "", name);
}

const char *taps_names(struct taps *t)
{
	const struct space *own = t->spaces[0];
	char others[64] = "";
	size_t spaces = 0;

	t->names[0] = '\0';
	for (size_t i = 0; i < own->count; i++)
		if (own->taps[i].fd >= 0)
			add_text(t->names, sizeof(t->names), ", ", own->taps[i].interface.name);
	for (size_t i = 1; i < SLOTS; i++)
		spaces += t->spaces[i] && !t->spaces[i]->dead;
	snprintf(others, sizeof(others), "%zu other network namespace%s", spaces,
		spaces == 1 ? "" : "s");
	if (t->shared.options->netns_count)
		add_text(t->names, sizeof(t->names), " and ", others);
	return t->names;
}

void taps_read_levels(const struct taps *t, struct taps_levels *ret)
{
	*ret = (struct taps_levels){0};
	for (size_t i = 0; i < SLOTS; i++) {
		const struct space *space = t->spaces[i];

		if (!space || space->dead)
			continue;
		ret->namespaces += i > 0;
		for (size_t j = 0; j < space->count; j++)
			ret->interfaces += space->taps[j].fd >= 0;
	}
}

bool taps_copies_possible(const struct taps *t)
{
	size_t watched = 0;

	for (size_t i = 0; i < SLOTS; i++)
		if (t->spaces[i])
			watched += space_watched(t->spaces[i]);
	return watched > 1;
}

/* It has the same index in every namespace: the kernel insists on 1. */
uint32_t taps_loopback(const struct taps *t)
{
	for (size_t i = 0; i < SLOTS; i++)
		for (size_t j = 0; t->spaces[i] && j < t->spaces[i]->count; j++)
			if (t->spaces[i]->taps[j].interface.loopback)
				return t->spaces[i]->taps[j].interface.index;
	return 0;
}

static int add_addresses(const struct taps *t, struct prefixes *local, struct prefixes *broadcast)
{
	int err = 0;

	for (size_t i = 0; i < SLOTS && !err; i++) {
		if (!t->spaces[i] || t->spaces[i]->dead)
			continue;
		err = prefixes_add_all(local, t->spaces[i]->local);
		if (!err)
			err = prefixes_add_all(broadcast, t->spaces[i]->broadcast);
	}
	return err;
}

int taps_local(const struct taps *t, struct prefixes *local, struct prefixes *broadcast)
{
	struct prefixes *new_local = prefixes_new(), *new_broadcast = prefixes_new();
	int err = -ENOMEM;

	if (new_local && new_broadcast)
		err = add_addresses(t, new_local, new_broadcast);
	if (!err) {
		prefixes_swap(local, new_local);
		prefixes_swap(broadcast, new_broadcast);
	}
	prefixes_free(new_local);
	prefixes_free(new_broadcast);
	return err;
}

static const struct space *space_at(const struct taps *t, uint16_t slot)
{
	return slot < SLOTS ? t->spaces[slot] : NULL;
}

static const char *interface_name(const void *arg, uint16_t slot, uint32_t index)
{
	const struct space *space = space_at(arg, slot);
	const char *name = space ? space_interface(space, index) : NULL;

	return name ? name : "";
}

static const char *netns_name(const void *arg, uint16_t slot)
{
	const struct space *space = space_at(arg, slot);

	return space ? space->entry.name : "";
}

static const char *container_name(const void *arg, uint16_t slot)
{
	const struct space *space = space_at(arg, slot);

	return space ? space->entry.container : "";
}

struct extra_names taps_extra_names(const struct taps *t)
{
	return (struct extra_names){.interface = interface_name,
		.netns = netns_name,
		.container = container_name,
		.arg = t};
}
