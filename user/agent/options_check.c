/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/options_table.h"

#include <errno.h>
#include <string.h>

#include "agent/extra.h"

static const struct option_spec *said(const struct option_parsing *p, const char *name)
{
	const struct option_spec *spec = option_find(name);

	return spec && p->places[spec - option_specs].line ? spec : NULL;
}

static bool any_kind(const struct options *o, unsigned int kinds)
{
	for (size_t i = 0; i < o->sink_count; i++)
		if (kinds & 1U << o->sinks[i].kind)
			return true;
	return false;
}

static bool any_full(const struct options *o)
{
	for (size_t i = 0; i < o->sink_count; i++)
		if (o->sinks[i].full)
			return true;
	return false;
}

static bool any_own_spool(const struct options *o)
{
	for (size_t i = 0; i < o->sink_count; i++)
		if (o->sinks[i].settings.spool)
			return true;
	return false;
}

/* What would be ignored without a word. */
static void check_sinks_fit(struct option_parsing *p)
{
	enum {
		SOCKETS = 1 << SINK_UNIX | 1 << SINK_TCP | 1 << SINK_TLS,
	};
	const struct options *o = p->options;
	const struct {
		const char *name;
		bool applies;
		const char *why;
	} rules[] = {
		{"with-query", any_full(o) || !o->with_query,
			"no sink has the word full, so no bytes are sent: write SINK full"},
		{"format", any_kind(o, 1U << SINK_LINES),
			"it is for the sink -, and there is none"},
		{"tls-ca", any_kind(o, 1U << SINK_TLS), "there is no tls:// sink"},
		{"tls-cert", any_kind(o, 1U << SINK_TLS), "there is no tls:// sink"},
		{"tls-key", any_kind(o, 1U << SINK_TLS), "there is no tls:// sink"},
		{"tls-no-verify", any_kind(o, 1U << SINK_TLS) || !o->tls.no_verify,
			"there is no tls:// sink"},
		{"spool", any_kind(o, SOCKETS),
			"only unix, tcp and tls sinks have one, and there is none"},
		{"spool-size", o->spool || any_own_spool(o), "there is no --spool"},
	};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct option_spec *spec = said(p, rules[i].name);

		if (spec && !rules[i].applies)
			option_fail_at(p, spec, "does not apply: %s", rules[i].why);
	}
}

/* A file of packets has no host around it. */
static void check_replay(struct option_parsing *p)
{
	static const struct {
		const char *name, *why;
	} rules[] = {
		{"interface", "a file has no interfaces"},
		{"promiscuous", "a file has no interfaces"},
		{"netns", "a file has no network namespaces"},
		{"metrics", "a replay ends by itself"},
		{"spool", "a replay waits for its collector"},
	};
	bool told = false;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct option_spec *spec = said(p, rules[i].name);

		if (!spec || (spec->kind == OPTION_FLAG && !p->options->promiscuous))
			continue;
		option_fail_at(p, spec, "does not go with -r: %s", rules[i].why);
		told = true;
	}
	for (size_t i = 0; i < p->options->sink_count && !told; i++)
		if (p->options->sinks[i].settings.spool)
			option_fail(p, &p->sinks[i], NULL,
				"sink '%.200s': a spool does not go with -r: a replay waits for "
				"its collector",
				p->options->sinks[i].text);
}

static void check_extra(struct option_parsing *p)
{
	char error[EXTRA_ERROR_MAX], *why;
	struct extra *extra;

	if (!p->options->extra)
		return;
	if (!extra_new(p->options->extra, &extra, error)) {
		extra_free(extra);
		return;
	}
	/* it begins with the option's name, as we do */
	why = strchr(error, ' ');
	option_fail_at(p, option_find("extra"), "%s", why ? why + 1 : error);
}

int option_check_whole(struct option_parsing *p)
{
	struct options *o = p->options;

	if (o->show_help || o->show_version)
		return 0;
	if (o->check_config && !o->config)
		option_fail(p, NULL, NULL, "--check-config wants --config FILE beside it");
	else if (!o->sink_count && o->config)
		option_fail(p, NULL, NULL,
			"no sink: neither the command line nor %s has one, as in "
			"sinks: [\"unix:///run/dnstap.sock full\"]",
			o->config);
	else if (!o->sink_count)
		option_fail(p, NULL, NULL,
			"no sink: name one, as in: dnstap-bpf unix:///run/dnstap.sock full "
			"(--help shows all)");
	else
		check_sinks_fit(p);
	if (o->read)
		check_replay(p);
	check_extra(p);
	if (!o->port_count)
		o->ports[o->port_count++] = OPTIONS_PORT_DEFAULT;
	return p->faults ? -EINVAL : 0;
}
