/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/space.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "capture/bypass.h"

enum { BYPASS_MAX = 64 };

static int open_socket(
	const struct space_shared *s, const struct space *space, enum netns_socket kind)
{
	return s->source.socket(s->source.arg, space->entry.id, kind);
}

static int open_netlink(const struct space_shared *s, struct space *space)
{
	space->watch_fd = open_socket(s, space, NETNS_ROUTE);
	if (space->watch_fd < 0)
		return space->watch_fd;
	space->route.fd = open_socket(s, space, NETNS_ROUTE);
	if (space->route.fd < 0)
		return space->route.fd;
	space->diag.fd = open_socket(s, space, NETNS_DIAG);
	return interfaces_subscribe(space->watch_fd, !space->entry.id);
}

int space_new(const struct space_shared *s, const struct netns_entry *entry, uint16_t slot,
	struct space **ret)
{
	struct space *space = calloc(1, sizeof(*space));
	int err;

	if (!space)
		return -ENOMEM;
	if (entry)
		space->entry = *entry;
	space->slot = slot;
	space->watch_fd = space->route.fd = space->diag.fd = -1;
	space->protocols_fd = entry ? -1 : bypass_open();
	space->pending = INTERFACES_ALL;
	space->look_at = space->again_at = UINT64_MAX;
	space->local = prefixes_new();
	space->broadcast = prefixes_new();
	err = space->local && space->broadcast ? open_netlink(s, space) : -ENOMEM;
	if (err) {
		space_free(space, s->closer);
		return err;
	}
	*ret = space;
	return 0;
}

static void close_netlink(struct space *space)
{
	int *fds[] = {&space->watch_fd, &space->route.fd, &space->diag.fd, &space->protocols_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static void close_tap(struct tap *tap, struct closer *closer)
{
	if (tap->fd < 0)
		return;
	tap->closing = closer_add(closer, tap->fd);
	tap->fd = -1;
}

void space_free(struct space *space, struct closer *closer)
{
	if (!space)
		return;
	close_netlink(space);
	for (size_t i = 0; i < space->count; i++)
		close_tap(&space->taps[i], closer);
	free(space->taps);
	free(space->known);
	prefixes_free(space->local);
	prefixes_free(space->broadcast);
	free(space);
}

/* In the long run one look a second, though SPACE_LOOKS may come at once. */
static uint64_t next_look(struct space *space, uint64_t now)
{
	const uint64_t most = (SPACE_LOOKS - 1) * NS_PER_SECOND;
	uint64_t at = now + TAPS_DELAY_MS * NS_PER_MS;

	if (space->looks_from + most < at)
		space->looks_from = at - most;
	else
		at = space->looks_from + most;
	space->looks_from += NS_PER_SECOND;
	return at;
}

void space_notice(struct space *space, uint64_t now)
{
	space->pending |= interfaces_changed(space->watch_fd);
	if (space->pending && space->look_at == UINT64_MAX)
		space->look_at = next_look(space, now);
}

uint64_t space_due(const struct space *space)
{
	return space->look_at < space->again_at ? space->look_at : space->again_at;
}

/* Names of -i are those of our own namespace. */
static bool is_named(const struct space *space, const struct options *o)
{
	return !space->entry.id && o->interface_count;
}

static bool is_wanted(
	const struct space *space, const struct options *o, const struct interface *interface)
{
	if (!is_named(space, o))
		return interface_is_default(interface);
	for (size_t i = 0; i < o->interface_count; i++)
		if (!strcmp(o->interfaces[i], interface->name))
			return true;
	return false;
}

static const struct interface *find_known(const struct space *space, unsigned index)
{
	for (size_t i = 0; i < space->known_count; i++)
		if (space->known[i].index == index)
			return &space->known[i];
	return NULL;
}

/* The kernel takes the index away from a socket whose interface vanished. */
static bool is_bound(const struct tap *tap)
{
	struct sockaddr_ll address = {0};
	socklen_t len = sizeof(address);

	return !getsockname(tap->fd, (struct sockaddr *)&address, &len) &&
	       address.sll_ifindex == (int)tap->interface.index;
}

static struct tap *find_tap(const struct space *space, unsigned index)
{
	for (size_t i = 0; i < space->count; i++)
		if (space->taps[i].fd >= 0 && space->taps[i].interface.index == index)
			return &space->taps[i];
	return NULL;
}

static struct tap *add_tap(struct space *space)
{
	struct tap *more = realloc(space->taps, (space->count + 1) * sizeof(*more));

	if (!more)
		return NULL;
	space->taps = more;
	return &more[space->count++];
}

static const char *hint(int err)
{
	if (err == -EPERM || err == -EACCES)
		return "; run it as root, or with the capabilities CAP_NET_RAW, CAP_BPF and "
		       "CAP_PERFMON";
	if (err == -EMFILE || err == -ENFILE)
		return "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
	return "";
}

static int attach(
	struct space *space, const struct space_shared *s, const struct interface *interface)
{
	int fd = open_socket(s, space, NETNS_PACKET);
	int err = fd < 0 ? fd : 0;
	struct tap *tap;

	if (!err)
		err = loader_attach(s->loader, fd, interface, space->slot, s->options->promiscuous);
	tap = err ? NULL : add_tap(space);
	if (!err && !tap)
		err = -ENOMEM;
	if (err) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	*tap = (struct tap){.interface = *interface, .fd = fd};
	return 0;
}

/* Detaches what is gone, and what the rule does not ask for any more. True when it did. */
static bool detach_unwanted(struct space *space, const struct space_shared *s)
{
	bool changed = false;

	for (size_t i = 0; i < space->count; i++) {
		struct tap *tap = &space->taps[i];
		const struct interface *now = find_known(space, tap->interface.index);

		if (tap->fd < 0)
			continue;
		if (now && is_wanted(space, s->options, now) && is_bound(tap)) {
			changed |= strcmp(tap->interface.name, now->name) != 0;
			tap->interface = *now;
			continue;
		}
		s->report(s->arg, space, tap->interface.name, false);
		close_tap(tap, s->closer);
		changed = true;
	}
	return changed;
}

/* An interface may go while we look at it; the others are watched all the same. */
static int attach_wanted(
	struct space *space, const struct space_shared *s, bool first, bool *changed)
{
	int failed = 0;

	for (size_t i = 0; i < space->known_count; i++) {
		const struct interface *interface = &space->known[i];
		int err;

		if (!is_wanted(space, s->options, interface) || find_tap(space, interface->index))
			continue;
		if (!interface->up)
			log_warn("interface %s is down", interface->name);
		err = attach(space, s, interface);
		if (err == -ETIMEDOUT)
			return err; /* of the opener, which will be asked again */
		if (err && err != -ENODEV)
			log_error("cannot watch interface %s: %s%s", interface->name,
				strerror(-err), hint(err));
		if (err) {
			if (!failed || failed == -ENODEV)
				failed = err;
			continue;
		}
		*changed = true;
		if (!first)
			s->report(s->arg, space, interface->name, true);
	}
	return failed;
}

/* A default route goes with its interface's going down, about which nobody sends a message. */
static void keep_routed(struct space *space, struct interface *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct interface *before = find_known(space, all[i].index);

		all[i].routed = before && before->routed && before->up && all[i].up;
	}
}

static int read_interfaces(struct space *space, unsigned what)
{
	struct interface *all = NULL;
	size_t count = 0;
	int err = interfaces_list(&space->route, &all, &count);

	if (!err && what & INTERFACES_ROUTED)
		err = interfaces_mark_routed(&space->route, all, count);
	else if (!err)
		keep_routed(space, all, count);
	if (err) {
		free(all);
		return err;
	}
	free(space->known);
	space->known = all;
	space->known_count = count;
	return 0;
}

static bool contains(const unsigned *indexes, int count, unsigned index)
{
	for (int i = 0; i < count; i++)
		if (indexes[i] == index)
			return true;
	return false;
}

/* Sockets are what servers have; a program alone may balance load, filter, or answer itself. */
static void tell_bypass(struct tap *tap, bool sockets, const char *netns)
{
	const char *of = *netns ? " of " : "", *name = tap->interface.name;

	if (sockets && !tap->sockets_told)
		log_warn("interface %s%s%s has AF_XDP sockets: what their server receives and "
			 "sends passes no tap and is not seen; use that server's own dnstap, or "
			 "turn its AF_XDP off",
			name, of, netns);
	else if (tap->interface.xdp && !sockets && !tap->program_told)
		log_info("interface %s%s%s has an XDP program: packets that it answers itself, or "
			 "takes for an AF_XDP server, are not seen",
			name, of, netns);
	tap->sockets_told = sockets;
	tap->program_told |= tap->interface.xdp;
}

/*
 * Where the kernel does not list the sockets, one that has an XDP program while there are any is
 * taken for theirs: an AF_XDP socket receives nothing without a program.
 */
static void check_bypass(struct space *space)
{
	unsigned indexes[BYPASS_MAX];
	int listed = bypass_list(&space->diag, indexes, BYPASS_MAX);
	bool any = listed < 0 && space->protocols_fd >= 0 && bypass_count(space->protocols_fd) > 0;
	bool again = false;

	for (size_t i = 0; i < space->count; i++) {
		struct tap *tap = &space->taps[i];
		bool sockets = contains(indexes, listed, tap->interface.index) ||
			       (any && tap->interface.xdp);

		if (tap->fd < 0)
			continue;
		tell_bypass(tap, sockets, space->entry.name);
		again |= tap->interface.xdp && !sockets;
	}
	if (again && (listed >= 0 || space->protocols_fd >= 0))
		space->again_at = clock_monotonic() + SPACE_XDP_AGAIN_NS;
}

static bool has_name(const struct space *space, const char *name)
{
	for (size_t i = 0; i < space->known_count; i++)
		if (!strcmp(space->known[i].name, name))
			return true;
	return false;
}

/* At the start, of our own namespace: what was asked for must be there. */
static int check_first(const struct space *space, const struct options *o, int err)
{
	for (size_t i = 0; is_named(space, o) && i < o->interface_count; i++) {
		if (has_name(space, o->interfaces[i]))
			continue;
		log_error("interface %s does not exist: `ip link` shows those that do",
			o->interfaces[i]);
		return -ENODEV;
	}
	if (space->count && (!err || !is_named(space, o)))
		return 0;
	if (err || o->netns_count)
		return err;
	log_error("no interface is up with an address or a default route: name one with -i");
	return -ENODEV;
}

int space_look(struct space *space, const struct space_shared *s, bool first)
{
	unsigned what = space->pending ? space->pending : INTERFACES_LINKS;
	bool changed = false;
	int err;

	space->pending = 0;
	space->look_at = space->again_at = UINT64_MAX;
	err = (what & ~INTERFACES_LOCAL) ? read_interfaces(space, what) : 0;
	if (!err && what & INTERFACES_LOCAL)
		err = interfaces_local(&space->route, space->local, space->broadcast);
	if (err) {
		log_error("cannot list the interfaces: %s", strerror(-err));
		space->pending = what;
		space->look_at = clock_monotonic() + SPACE_RETRY_NS;
		return err;
	}
	changed = detach_unwanted(space, s);
	err = attach_wanted(space, s, first, &changed);
	if (what & INTERFACES_LINKS)
		check_bypass(space);
	if (err == -ETIMEDOUT)
		space->again_at = clock_monotonic() + SPACE_AGAIN_NS;
	else if (err && err != -ENODEV)
		space->look_at = clock_monotonic() + SPACE_RETRY_NS;
	if (first && !space->entry.id)
		return check_first(space, s->options, err);
	return changed || what & INTERFACES_LOCAL;
}

void space_let_go(struct space *space, const struct space_shared *s)
{
	for (size_t i = 0; i < space->count; i++) {
		if (space->taps[i].fd >= 0)
			s->report(s->arg, space, space->taps[i].interface.name, false);
		close_tap(&space->taps[i], s->closer);
	}
	close_netlink(space);
	space->dead = true;
	space->look_at = space->again_at = UINT64_MAX;
}

static bool is_drained(struct tap *tap, struct closer *closer, uint64_t drained)
{
	if (tap->fd >= 0)
		return false;
	if (!tap->closed && closer_done(closer, tap->closing))
		tap->closed = clock_monotonic();
	return tap->closed && tap->closed < drained;
}

bool space_forget(struct space *space, struct closer *closer, uint64_t drained)
{
	size_t kept = 0;

	for (size_t i = 0; i < space->count; i++)
		if (!is_drained(&space->taps[i], closer, drained))
			space->taps[kept++] = space->taps[i];
	space->count = kept;
	return space->dead && !kept;
}

size_t space_watched(const struct space *space)
{
	size_t count = 0;

	for (size_t i = 0; i < space->count; i++)
		count += space->taps[i].fd >= 0 && !space->taps[i].interface.loopback;
	return count;
}

const char *space_interface(const struct space *space, uint32_t index)
{
	const char *found = NULL;

	for (size_t i = 0; i < space->count; i++) {
		const struct tap *tap = &space->taps[i];

		if (tap->interface.index != index)
			continue;
		found = tap->interface.name;
		if (tap->fd >= 0)
			break;
	}
	return found;
}
