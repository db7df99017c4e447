/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/options_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dnstap/message.h"
#include "dnstap/names.h"
#include "sink/words.h"
#include "wire/name.h"

static int tell(struct option_parsing *p, const struct option_place *place, const char *name,
	const char *format, va_list args)
{
	char line[OPTIONS_ERROR_MAX];
	size_t len = 0;

	if (place && place->file)
		len = (size_t)snprintf(line, sizeof(line), "%.512s:%u: %s%s", place->file,
			place->line, name ? name : "", name ? ": " : "");
	else if (name)
		len = (size_t)snprintf(line, sizeof(line), "--%s ", name);
	vsnprintf(line + len, sizeof(line) - len, format, args);
	/* the text is the user's, but the line stays one line */
	for (char *at = line; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	p->faults++;
	p->found(p->found_arg, line);
	return -EINVAL;
}

int option_fail(struct option_parsing *p, const struct option_place *place, const char *name,
	const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(p, place, name, format, args);
	va_end(args);
	return -EINVAL;
}

int option_fail_at(struct option_parsing *p, const struct option_spec *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(p, &p->places[s - option_specs], s->name, format, args);
	va_end(args);
	return -EINVAL;
}

static void *field(struct options *o, const struct option_spec *s)
{
	return (char *)o + s->offset;
}

static size_t *list_count(struct options *o, const struct option_spec *s)
{
	return (size_t *)((char *)o + s->count);
}

/* What a fault begins with. */
static const char *shown(const char *text)
{
	return *text ? text : "a value is missing";
}

/* Decimal digits with, for sizes, one of the suffixes K, M, G (powers of 1024). */
static bool parse_number(const char *text, bool suffix, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno || end == text)
		return false;
	if (!*end)
		return true;
	unit = strchr(units, *end);
	if (!suffix || !unit || end[1])
		return false;
	for (const char *u = units; u <= unit; u++) {
		if (*ret > UINT64_MAX / 1024)
			return false;
		*ret *= 1024;
	}
	return true;
}

static int parse_in_range(
	struct option_parsing *p, const struct option_spec *s, const char *text, uint64_t *ret)
{
	bool size = s->kind == OPTION_SIZE;

	if (!parse_number(text, size, ret) || *ret < s->min || *ret > s->max)
		return option_fail_at(p, s, "%s: give a number from %" PRIu64 " to %" PRIu64 "%s",
			shown(text), s->min, s->max, size ? " (K, M and G may follow)" : "");
	if (s->power_of_two && (*ret & (*ret - 1)))
		return option_fail_at(p, s, "%s: give a power of two", text);
	return 0;
}

static int set_number(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	uint64_t value;
	int err = parse_in_range(p, s, text, &value);

	if (!err)
		*(uint64_t *)field(p->options, s) = value;
	return err;
}

static int set_flag(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	static const struct option_choice words[] = {{"true", true}, {"yes", true}, {"on", true},
		{"false", false}, {"no", false}, {"off", false}, {0}};
	const struct option_choice *c = words;

	while (text && c->name && strcasecmp(c->name, text))
		c++;
	if (!c->name)
		return option_fail_at(p, s, "%s: give yes or no", shown(text));
	*(bool *)field(p->options, s) = c->value;
	return 0;
}

static int set_choice(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	char names[128] = "";

	for (const struct option_choice *c = s->choices; c->name; c++) {
		if (!strcmp(c->name, text)) {
			*(int *)field(p->options, s) = c->value;
			return 0;
		}
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			*names ? ", " : "", c->name);
	}
	return option_fail_at(p, s, "%s: give one of %s", shown(text), names);
}

static bool has_control_character(const char *text)
{
	while (*text && (unsigned char)*text >= 0x20 && *text != 0x7f)
		text++;
	return *text != '\0';
}

static int set_text(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	const bool sent = s->kind == OPTION_UTF8 || s->offset == offsetof(struct options, extra);

	if (sent && has_control_character(text))
		return option_fail_at(p, s, "%.40s: give a text without control characters", text);
	if (s->kind == OPTION_UTF8 && !message_text_valid(text))
		return option_fail_at(
			p, s, "%.40s: give at most %d bytes of UTF-8", text, MESSAGE_TEXT_MAX);
	/* An empty text is an identity; an empty path or name is a variable that was not set. */
	if (s->kind == OPTION_TEXT && !*text && s->offset != offsetof(struct options, extra))
		return option_fail_at(p, s, "'': give a %s",
			!strcmp(s->argument, "DIR") ? "folder" : "value that is not empty");
	*(const char **)field(p->options, s) = text;
	return 0;
}

/* PORT, ADDRESS:PORT or [ADDRESS]:PORT. */
static int set_endpoint(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2] = "127.0.0.1";
	uint8_t address[16];
	size_t len = colon ? (size_t)(colon - text) : 0;
	uint64_t port;
	bool valid;

	if (colon)
		snprintf(host, sizeof(host), "%.*s", len < sizeof(host) ? (int)len : 0, text);
	len = strlen(host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		valid = inet_pton(AF_INET6, host + 1, address) == 1;
	} else {
		valid = inet_pton(AF_INET, host, address) == 1;
	}
	if (!valid || !parse_number(colon ? colon + 1 : text, false, &port) || port < 1 ||
		port > UINT16_MAX)
		return option_fail_at(p, s,
			"%s: give a port, or an address with one, as 127.0.0.1:9617 or [::1]:9617",
			shown(text));
	*(const char **)field(p->options, s) = text;
	return 0;
}

static int set_lengths(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	char first[4] = "";
	const char *comma = strchr(text, ',');
	uint64_t v4, v6;

	if (comma && comma - text < (ptrdiff_t)sizeof(first))
		memcpy(first, text, (size_t)(comma - text));
	if (!comma || !parse_number(first, false, &v4) || !parse_number(comma + 1, false, &v6) ||
		v4 > 32 || v6 > 128)
		return option_fail_at(p, s,
			"%s: give the bits that are kept, of IPv4 0 to 32 and of IPv6 0 to 128, as "
			"24,48",
			shown(text));
	p->options->anonymise = true;
	p->options->anonymise_v4 = (uint8_t)v4;
	p->options->anonymise_v6 = (uint8_t)v6;
	return 0;
}

/* What is in the list already is not there twice. */
static int list_keep(struct option_parsing *p, const struct option_spec *s, const void *item,
	size_t item_size, bool is_text)
{
	size_t *count = list_count(p->options, s);
	char *list = field(p->options, s), *end = list + *count * item_size;

	for (char *at = list; at < end; at += item_size) {
		if (is_text ? !strcmp(*(const char **)at, *(const char *const *)item)
			    : !memcmp(at, item, item_size))
			return 0;
	}
	if (*count == s->capacity)
		return option_fail_at(p, s, "may be given at most %zu times", s->capacity);
	memcpy(end, item, item_size);
	++*count;
	return 0;
}

static int add_text(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	if (!*text)
		return option_fail_at(p, s, "'': give a name");
	return list_keep(p, s, &text, sizeof(text), true);
}

static int add_interface(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	if (!*text || strlen(text) >= IF_NAMESIZE || strpbrk(text, "/ \t"))
		return option_fail_at(p, s,
			"'%.40s': this is no interface's name (`ip link` shows those that exist)",
			text);
	return add_text(p, s, text);
}

static int add_port(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	uint64_t value = 0;
	int err = parse_in_range(p, s, text, &value);
	uint16_t port;

	if (err)
		return err;
	port = (uint16_t)value;
	return list_keep(p, s, &port, sizeof(port), false);
}

/* Clears what stands behind the length; true when there was something. */
static bool clear_host_bits(struct options_prefix *prefix)
{
	bool any = false;

	for (unsigned bit = prefix->len; bit < 8 * family_len(prefix->family); bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		any |= prefix->address[bit / 8] & mask;
		prefix->address[bit / 8] &= (uint8_t)~mask;
	}
	return any;
}

/* ADDRESS or ADDRESS/LENGTH. */
static bool parse_prefix(const char *text, struct options_prefix *ret)
{
	char address[ADDRESS_TEXT_MAX + 1];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t bits;

	memset(ret, 0, sizeof(*ret)); /* its padding too: prefixes are compared whole */
	snprintf(address, sizeof(address), "%.*s", (int)(len < sizeof(address) ? len : 0), text);
	ret->family = strchr(address, ':') ? FAMILY_IPV6 : FAMILY_IPV4;
	bits = 8 * family_len(ret->family);
	if (inet_pton(ret->family == FAMILY_IPV4 ? AF_INET : AF_INET6, address, ret->address) != 1)
		return false;
	if (slash && (!parse_number(slash + 1, false, &bits) || bits > 8 * family_len(ret->family)))
		return false;
	ret->len = (unsigned)bits;
	return true;
}

static int add_prefix(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	struct options_prefix prefix;
	char address[INET6_ADDRSTRLEN] = "";

	if (!parse_prefix(text, &prefix))
		return option_fail_at(
			p, s, "%s: give an address, or a prefix as 192.0.2.0/24", shown(text));
	if (clear_host_bits(&prefix)) {
		inet_ntop(prefix.family == FAMILY_IPV4 ? AF_INET : AF_INET6, prefix.address,
			address, sizeof(address));
		return option_fail_at(p, s,
			"%s: the address has bits behind the prefix: give %s/%u, or the address "
			"alone",
			text, address, prefix.len);
	}
	return list_keep(p, s, &prefix, sizeof(prefix), false);
}

static int add_name(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	uint8_t name[DNS_NAME_MAX];

	if (!name_from_text(text, name))
		return option_fail_at(p, s,
			"%s: give a domain name, as example.com (not ASCII: as xn--...)",
			shown(text));
	return add_text(p, s, text);
}

static int add_type(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	for (int type = MESSAGE_AUTH_QUERY; type <= MESSAGE_UPDATE_RESPONSE; type++) {
		if (!strcasecmp(message_type_name((enum message_type)type), text)) {
			p->options->types |= 1U << type;
			return 0;
		}
	}
	return option_fail_at(p, s,
		"%s: give AUTH, CLIENT, RESOLVER, FORWARDER, STUB, TOOL or UPDATE with _QUERY or "
		"_RESPONSE",
		shown(text));
}

const char *option_rcode(size_t place, uint64_t *ret)
{
	/* IANA's registry; BADSIG is BADVERS's number too */
	static const struct option_choice extended[] = {{"DSOTYPENI", 11}, {"BADVERS", 16},
		{"BADSIG", 16}, {"BADKEY", 17}, {"BADTIME", 18}, {"BADMODE", 19}, {"BADNAME", 20},
		{"BADALG", 21}, {"BADTRUNC", 22}, {"BADCOOKIE", 23}};
	size_t plain = 0;

	while (names_rcode((uint8_t)plain))
		plain++;
	*ret = place;
	if (place < plain)
		return names_rcode((uint8_t)place);
	place -= plain;
	if (place >= sizeof(extended) / sizeof(extended[0]))
		return NULL;
	*ret = (uint64_t)extended[place].value;
	return extended[place].name;
}

static bool parse_rcode(const char *text, uint64_t *ret)
{
	const char *name;

	for (size_t i = 0; (name = option_rcode(i, ret)); i++)
		if (!strcasecmp(name, text))
			return true;
	return parse_number(text, false, ret) && *ret < OPTIONS_RCODES;
}

static int add_rcode(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	uint64_t rcode;

	if (!parse_rcode(text, &rcode))
		return option_fail_at(p, s,
			"%s: give a response code, as NXDOMAIN, or its number from 0 to %d",
			shown(text), OPTIONS_RCODES - 1);
	p->options->rcodes.bits[rcode / 8] |= (uint8_t)(1U << rcode % 8);
	p->options->rcodes.any_given = true;
	return 0;
}

static int add_netns(struct option_parsing *p, const struct option_spec *s, const char *text)
{
	if (strchr(text, '/'))
		return option_fail_at(p, s,
			"%.100s: give all, a process's number, or a name without its path", text);
	return add_text(p, s, text);
}

/* Forgets what a file said of what may be repeated. */
static void clear(struct options *o, const struct option_spec *s)
{
	if (s->kind == OPTION_TYPES)
		o->types = 0;
	else if (s->kind == OPTION_RCODES)
		o->rcodes = (struct options_rcodes){0};
	else if (option_repeatable(s))
		*list_count(o, s) = 0;
}

int option_set(struct option_parsing *p, const struct option_spec *s, const char *text,
	struct option_place place)
{
	static int (*const setters[])(
		struct option_parsing *, const struct option_spec *, const char *) = {
		[OPTION_FLAG] = set_flag,
		[OPTION_TEXT] = set_text,
		[OPTION_UTF8] = set_text,
		[OPTION_NUMBER] = set_number,
		[OPTION_SIZE] = set_number,
		[OPTION_CHOICE] = set_choice,
		[OPTION_ENDPOINT] = set_endpoint,
		[OPTION_LENGTHS] = set_lengths,
		[OPTION_INTERFACES] = add_interface,
		[OPTION_PORTS] = add_port,
		[OPTION_PREFIXES] = add_prefix,
		[OPTION_TEXTS] = add_netns,
		[OPTION_NAMES] = add_name,
		[OPTION_TYPES] = add_type,
		[OPTION_RCODES] = add_rcode,
	};
	struct option_place *last = &p->places[s - option_specs];

	if (last->file && !place.file)
		clear(p->options, s);
	if (s->once && last->line && !last->file && !place.file)
		return option_fail_at(p, s, "is given twice: give it once");
	*last = place;
	return setters[s->kind](p, s, text);
}

int option_take_sink(struct option_parsing *p, const char *word, struct option_place place)
{
	struct options *o = p->options;
	size_t before = o->sink_count;
	char error[OPTIONS_ERROR_MAX];
	int err;

	if (before && p->sinks[0].file && !place.file) {
		/* The command line's sinks instead of the file's. */
		memset(p->sinks, 0, sizeof(p->sinks));
		o->sink_count = 0;
	}
	err = words_take(o->sinks, &o->sink_count, OPTIONS_SINKS_MAX, word, error, sizeof(error));
	if (err)
		return option_fail(p, &place, place.file ? "sinks" : NULL, "%s", error);
	if (o->sink_count)
		p->sinks[o->sink_count - 1] = place;
	return 0;
}
