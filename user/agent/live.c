/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The live tap's loop. Under load the rings are drained on a timer, never by a wake-up for each
 * packet; when a drain finds nothing the doorbell is armed, the rings are looked at once more at
 * once and once more after one interval, and only then the loop blocks until the doorbell rings, a
 * signal comes or a query's time is up.
 */
#include "agent/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "capture/interfaces.h"
#include "capture/loader.h"

enum {
	INTERVAL_MS = 5,       /* between drains at low rates ... */
	INTERVAL_BUSY_MS = 10, /* ... and when a drain brings BUSY_PACKETS or more */
	BUSY_PACKETS = 256,
	EVENTS_MAX = 16,
	NAMES_MAX = 512,
};

/* Records younger than this may still be overtaken by an older one of another CPU, ns. */
#define SETTLE_NS NS_PER_MS
/* After this long without a packet a line says why that may be, ns. */
#define SILENCE_NS (10 * NS_PER_SECOND)

enum tag { TAG_STOP, TAG_SIGNAL, TAG_FAILURE, TAG_DOORBELL, TAG_RING, TAG_ADDRESSES };

/* How far the loop is on its way from busy to blocked. */
enum rest { BUSY, ARMED, BLOCKED };

struct live {
	const struct options *options;
	struct run run;
	struct loader *loader;
	struct clock clock;
	int epoll_fd;
	enum rest rest;
	size_t drained;        /* packets of the last drain */
	uint64_t silence_ends; /* monotonic ns; 0: told, or a packet was seen */
	int addresses_fd;      /* readable when our addresses change */
	uint32_t loopback;     /* watched; 0: not */
	size_t others;         /* watched interfaces but loopback */
	char names[NAMES_MAX]; /* of the watched interfaces */
};

static void log_libbpf(int level, const char *line)
{
	(void)level;
	log_debug("libbpf: %s", line);
}

static bool wants_bytes(const struct options *o)
{
	if (o->query_zone)
		return true;
	for (size_t i = 0; i < o->sink_count; i++)
		if (o->sinks[i].full)
			return true;
	return false;
}

static int load(struct live *l)
{
	const struct options *o = l->options;
	struct loader_options options = {
		.ring = (enum rings_kind)o->ring,
		.ring_size = o->ring_size,
		.ports = o->ports,
		.port_count = o->port_count,
		.clamp = !wants_bytes(l->options),
	};
	char error[LOADER_ERROR_MAX];
	int err;

	loader_set_log(o->verbose ? log_libbpf : NULL);
	err = loader_new(&options, &l->loader, error);
	if (err)
		log_error("%s", error);
	return err;
}

static void add_name(struct live *l, const char *name)
{
	size_t used = strlen(l->names);

	snprintf(l->names + used, sizeof(l->names) - used, "%s%s", used ? ", " : "", name);
}

static int attach_one(struct live *l, const struct interface *interface)
{
	char error[LOADER_ERROR_MAX];
	int err = loader_attach(l->loader, interface, l->options->promiscuous, error);

	if (err) {
		log_error("%s", error);
		return err;
	}
	add_name(l, interface->name);
	if (interface->loopback)
		l->loopback = interface->index;
	else
		l->others++;
	return 0;
}

static int attach_named(struct live *l, const struct interface *all, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(all[i].name, name))
			continue;
		if (!all[i].up)
			log_warn("interface %s is down", name);
		return attach_one(l, &all[i]);
	}
	log_error("interface %s does not exist: `ip link` shows those that do", name);
	return -ENODEV;
}

/* An interface may go while we look at it; the others are watched all the same. */
static int attach_defaults(struct live *l, const struct interface *all, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count; i++)
		if (interface_is_default(&all[i]))
			err = attach_one(l, &all[i]);
	if (*l->names)
		return 0;
	if (err)
		return err;
	log_error("no interface is up with an address or a default route: name one with -i");
	return -ENODEV;
}

static int attach(struct live *l)
{
	const struct options *o = l->options;
	struct interface *all = NULL;
	size_t count = 0;
	int err = interfaces_list(&all, &count);

	if (err)
		log_error("cannot list the interfaces: %s", strerror(-err));
	else if (!o->interface_count)
		err = attach_defaults(l, all, count);
	for (size_t i = 0; i < o->interface_count && !err; i++)
		err = attach_named(l, all, count, o->interfaces[i]);
	free(all);
	return err;
}

static int watch_fd(struct live *l, int fd, enum tag tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int watch_all(struct live *l)
{
	int err;

	l->addresses_fd = interfaces_watch();
	if (l->addresses_fd < 0)
		return l->addresses_fd;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	err = watch_fd(l, l->run.stop_fd, TAG_STOP);
	if (!err)
		err = watch_fd(l, l->run.signal_fd, TAG_SIGNAL);
	if (!err)
		err = watch_fd(l, l->run.failure_fd, TAG_FAILURE);
	if (!err)
		err = watch_fd(l, loader_doorbell_fd(l->loader), TAG_DOORBELL);
	if (!err)
		err = watch_fd(l, l->addresses_fd, TAG_ADDRESSES);
	if (!err)
		err = rings_watch(loader_rings(l->loader), l->epoll_fd, TAG_RING);
	return err;
}

/* A failure leaves the old sets: they were right a moment ago. */
static void read_local(struct live *l)
{
	int err = interfaces_local(l->run.local, l->run.broadcast);

	if (!err)
		err = run_add_local(&l->run);
	if (err)
		log_warn("cannot read this host's addresses: %s", strerror(-err));
}

static void say_hello(struct live *l)
{
	const struct options *o = l->options;
	char ports[256] = "";

	for (size_t i = 0; i < o->port_count; i++) {
		size_t used = strlen(ports);

		snprintf(ports + used, sizeof(ports) - used, "%s%u", i ? ", " : "", o->ports[i]);
	}
	log_info("watching %s on port %s (%s ring)", l->names, ports,
		rings_name(loader_ring_kind(l->loader)));
	if (o->ports[0] == OPTIONS_PORT_DEFAULT)
		log_info("try in another terminal: getent ahosts example.com "
			 "(or: dig @127.0.0.1 example.com)");
	else
		log_info("try in another terminal: dig -p %u @127.0.0.1 example.com", o->ports[0]);
	l->silence_ends = clock_monotonic() + SILENCE_NS;
}

static void break_silence(struct live *l, uint64_t now)
{
	struct loader_counts counts;

	if (!l->silence_ends || now < l->silence_ends)
		return;
	l->silence_ends = 0;
	loader_read_counts(l->loader, &counts);
	if (!counts.matched)
		log_info("no DNS packet on port %u in 10 s: is the traffic on %s, in this network "
			 "namespace, unencrypted, and not taken by an AF_XDP server?",
			l->options->ports[0], l->names);
}

/* Takes what is in the rings from before that moment, ns. */
static void drain_until(struct live *l, uint64_t now, uint64_t before)
{
	clock_follow(&l->clock, now);
	pipeline_set_wall(l->run.pipeline, l->clock.wall_minus_monotonic);
	l->drained = rings_drain(loader_rings(l->loader), before, pipeline_packet, l->run.pipeline);
	pipeline_tick(l->run.pipeline, before < now ? before : now);
	pipeline_flush(l->run.pipeline);
}

static void drain(struct live *l)
{
	uint64_t now = clock_monotonic();

	drain_until(l, now, now - SETTLE_NS);
	break_silence(l, now);
}

/* After a drain: what the loop may do next. */
static void settle(struct live *l)
{
	if (l->drained || rings_waiting(loader_rings(l->loader))) {
		if (l->rest != BUSY)
			loader_disarm(l->loader);
		l->rest = BUSY;
	} else if (l->rest == BUSY) {
		loader_arm(l->loader);
		l->rest = ARMED;
		drain(l);
		if (l->drained || rings_waiting(loader_rings(l->loader)))
			settle(l);
	} else {
		l->rest = BLOCKED;
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How long to wait, ms; -1: until something happens. */
static int patience(const struct live *l)
{
	uint64_t next = pipeline_next_tick(l->run.pipeline), now, left;

	if (l->rest != BLOCKED)
		return l->drained < BUSY_PACKETS ? INTERVAL_MS : INTERVAL_BUSY_MS;
	if (next != UINT64_MAX)
		next += SETTLE_NS;
	if (l->silence_ends)
		next = earlier(next, l->silence_ends);
	if (next == UINT64_MAX)
		return -1;
	now = clock_monotonic();
	left = next > now ? (next - now) / NS_PER_MS + 1 : 1;
	return (int)earlier(left, 60 * 1000);
}

static void fill_kernel_counts(struct live *l)
{
	struct ledger *ledger = pipeline_ledger(l->run.pipeline);
	struct loader_counts counts;

	loader_read_counts(l->loader, &counts);
	ledger->matched = counts.matched;
	ledger->ring_full = counts.ring_full;
	ledger->ring_broken = rings_broken(loader_rings(l->loader));
	ledger->fragments_refused = counts.fragments_refused;
	ledger->empty_segments = counts.empty_segments;
}

static void handle_signal(struct live *l)
{
	switch (run_take_signal(&l->run)) {
	case SIGHUP:
		run_reopen(&l->run);
		break;
	case SIGUSR1:
		fill_kernel_counts(l);
		run_report(&l->run, false);
		break;
	}
}

/* False when the loop is to end. */
static bool handle_events(struct live *l)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(l->epoll_fd, events, EVENTS_MAX, patience(l));

	for (int i = 0; i < count; i++) {
		switch ((enum tag)events[i].data.u64) {
		case TAG_STOP:
			return false;
		case TAG_SIGNAL:
			handle_signal(l);
			break;
		case TAG_FAILURE:
			if (run_sinks_gone(&l->run))
				return false;
			break;
		case TAG_DOORBELL:
			loader_doorbell_clear(l->loader);
			l->rest = BUSY;
			break;
		case TAG_ADDRESSES:
			if (interfaces_changed(l->addresses_fd))
				read_local(l);
			break;
		case TAG_RING:
			break; /* the drain that follows empties it */
		}
	}
	return true;
}

static void loop(struct live *l)
{
	while (handle_events(l)) {
		drain(l);
		settle(l);
	}
}

/* Nothing enters the rings any more: what is in them still counts. */
static void drain_rest(struct live *l)
{
	loader_detach(l->loader);
	drain_until(l, clock_monotonic(), UINT64_MAX);
	fill_kernel_counts(l);
}

/* One descriptor an interface, and some for each sink. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int open_live(struct live *l)
{
	int err;

	raise_descriptor_limit();
	err = load(l);

	if (!err)
		err = attach(l);
	if (!err)
		err = run_open(&l->run, l->options);
	if (err)
		return err;
	pipeline_expect_copies(l->run.pipeline, l->others > 1, l->loopback);
	err = watch_all(l);
	if (err)
		log_error("cannot wait for packets: %s", strerror(-err));
	return err;
}

int run_live(const struct options *options)
{
	struct live l = {
		.options = options, .run = RUN_INITIALISER, .epoll_fd = -1, .addresses_fd = -1};
	int status = EXIT_RUNTIME;

	if (!open_live(&l)) {
		read_local(&l);
		say_hello(&l);
		loop(&l);
		drain_rest(&l);
		status = run_finish(&l.run, EXIT_OK);
	}
	if (l.epoll_fd >= 0)
		close(l.epoll_fd);
	if (l.addresses_fd >= 0)
		close(l.addresses_fd);
	loader_free(l.loader);
	run_close(&l.run);
	return status;
}
