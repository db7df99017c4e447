/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/tell.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* After this long without a packet a line says why that may be, ns. */
#define SILENCE_NS    (10 * NS_PER_SECOND)
#define CPUS_CHECK_NS (10 * NS_PER_SECOND)

const char *tell_ring(const struct loader *loader)
{
	return rings_name(loader_ring_kind(loader));
}

/* A service has nobody beside it. */
static bool at_a_terminal(const struct options *o)
{
	for (size_t i = 0; i < o->sink_count; i++)
		if (o->sinks[i].kind == SINK_LINES && isatty(STDOUT_FILENO))
			return true;
	return isatty(STDERR_FILENO);
}

static void tell_how_to_try(const struct options *o)
{
	if (o->ports[0] == OPTIONS_PORT_DEFAULT)
		log_info("try in another terminal: getent ahosts example.com "
			 "(or: dig @127.0.0.1 example.com)");
	else
		log_info("try in another terminal: dig -p %u @127.0.0.1 example.com", o->ports[0]);
}

void tell_hello(struct tell *t)
{
	const struct options *o = t->options;
	char ports[256] = "";

	for (size_t i = 0; i < o->port_count; i++) {
		size_t used = strlen(ports);

		snprintf(ports + used, sizeof(ports) - used, "%s%u", i ? ", " : "", o->ports[i]);
	}
	log_info("watching %s on port %s (%s ring)", taps_names(t->taps), ports,
		tell_ring(t->loader));
	if (t->others)
		log_info("other network namespaces (containers, pods) are not watched: --netns "
			 "all watches them too");
	if (at_a_terminal(o))
		tell_how_to_try(o);
	t->silence_ends = clock_monotonic() + SILENCE_NS;
}

static void break_silence(struct tell *t, uint64_t now)
{
	struct loader_counts counts;

	if (!t->silence_ends || now < t->silence_ends)
		return;
	t->silence_ends = 0;
	loader_read_counts(t->loader, &counts);
	if (!counts.matched && !counts.filtered)
		log_info("no DNS packet on port %u in 10 s: is the traffic on %s, in this network "
			 "namespace, unencrypted, and not taken by an AF_XDP server?",
			t->options->ports[0], taps_names(t->taps));
}

/* Looked for now and then, it reads a cache line of each CPU, and when there is nothing to do. */
static void tell_unheard_cpu(struct tell *t, uint64_t now, bool nothing)
{
	int cpu;

	if (!nothing && now < t->cpus_checked + CPUS_CHECK_NS)
		return;
	t->cpus_checked = now;
	cpu = loader_unheard_cpu(t->loader);
	if (cpu >= 0)
		log_warn("CPU %d was brought up after the start and has no ring: its packets are "
			 "lost and counted as ring_full; start again, or use --ring array",
			cpu);
}

void tell_more(struct tell *t, uint64_t now, bool nothing)
{
	break_silence(t, now);
	tell_unheard_cpu(t, now, nothing);
}

uint64_t tell_next(const struct tell *t)
{
	return t->silence_ends ? t->silence_ends : UINT64_MAX;
}
