/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration file: YAML whose keys are the long options, and `sinks`. libyaml's tree is
 * walked beside the option table, rather than by libcyaml, because its schema ends at the shape of
 * a value: what is wrong with a well-formed one could no longer be told with its line.
 */
#include "agent/options_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <yaml.h>

enum { FILE_BYTES_MAX = 1 << 20, DEPTH_MAX = 8, ANCHORS_MAX = 64 };

struct options_text {
	struct options_text *next;
	char text[];
};

/* One walk through one file. */
struct walk {
	struct option_parsing *p;
	yaml_document_t document;
	const char *path;
	unsigned sinks_line; /* of the key `sinks`; 0: not there yet */
};

/* The parts of a sink that is a mapping, put together as it is written on the command line. */
struct sink_words {
	struct sink_url url;
	char text[SINK_TEXT_MAX];
	bool full;
};

void options_free(struct options *o)
{
	struct options_text *text;

	while ((text = o->text)) {
		o->text = text->next;
		free(text);
	}
}

const char *option_keep_text(struct options *o, const char *text)
{
	struct options_text *kept = malloc(sizeof(*kept) + strlen(text) + 1);

	if (!kept)
		return NULL;
	strcpy(kept->text, text);
	kept->next = o->text;
	o->text = kept;
	return kept->text;
}

static struct option_place place_of(const struct walk *w, const yaml_node_t *node)
{
	return (struct option_place){w->path, (unsigned)node->start_mark.line + 1};
}

__attribute__((format(printf, 4, 5))) static int fail(
	struct walk *w, const yaml_node_t *at, const char *key, const char *format, ...)
{
	struct option_place place = place_of(w, at);
	char line[OPTIONS_ERROR_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	return option_fail(w->p, &place, key, "%s", line);
}

/* A scalar's text, or NULL after a fault was told. */
static const char *text_of(struct walk *w, const yaml_node_t *node, const char *key)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->type != YAML_SCALAR_NODE) {
		fail(w, node, key, "give one value here, not a %s",
			node->type == YAML_MAPPING_NODE ? "mapping" : "list");
		return NULL;
	}
	if (strlen(text) != node->data.scalar.length) {
		fail(w, node, key, "this has a NUL in it");
		return NULL;
	}
	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		(!*text || !strcmp(text, "~") || !strcasecmp(text, "null"))) {
		fail(w, node, key, "there is no value: give one, or leave the key out");
		return NULL;
	}
	return text;
}

static void take_value(struct walk *w, const struct option_spec *spec, const yaml_node_t *key,
	const yaml_node_t *value)
{
	const char *text = text_of(w, value, spec->name);

	if (!text)
		return;
	text = option_keep_text(w->p->options, text);
	if (!text)
		fail(w, key, spec->name, "out of memory");
	else
		option_set(w->p, spec, text, place_of(w, value));
}

static void take_option(struct walk *w, const struct option_spec *spec, const yaml_node_t *key,
	const yaml_node_t *value)
{
	const yaml_node_item_t *item;

	if (value->type != YAML_SEQUENCE_NODE || !option_repeatable(spec)) {
		take_value(w, spec, key, value);
		return;
	}
	for (item = value->data.sequence.items.start; item < value->data.sequence.items.top; item++)
		take_value(w, spec, key, yaml_document_get_node(&w->document, *item));
	/* an empty list is said too */
	w->p->places[spec - option_specs] = place_of(w, key);
}

/* "URL" or "URL full". */
static void take_sink_text(struct walk *w, const yaml_node_t *node)
{
	const char *text = text_of(w, node, "sinks");
	char url[SINK_TEXT_MAX + 8];
	size_t len = text ? strlen(text) : 0;
	bool full = len > 4 && strchr(" \t", text[len - 5]) && !strcmp(text + len - 4, "full");

	if (!text)
		return;
	if (len >= sizeof(url)) {
		fail(w, node, "sinks", "this is longer than %d bytes", SINK_TEXT_MAX - 1);
		return;
	}
	len = full ? len - 4 : len;
	while (len && strchr(" \t", text[len - 1]))
		len--;
	snprintf(url, sizeof(url), "%.*s", (int)len, text);
	if (!option_take_sink(w->p, url, place_of(w, node)) && full)
		option_take_sink(w->p, "full", place_of(w, node));
}

static bool is_yes(const char *text)
{
	return !strcasecmp(text, "true") || !strcasecmp(text, "yes") || !strcasecmp(text, "on");
}

static bool is_no(const char *text)
{
	return !strcasecmp(text, "false") || !strcasecmp(text, "no") || !strcasecmp(text, "off");
}

/* One setting of a sink: checked by itself, so that its line can be told, and put to the others. */
static int add_setting(struct walk *w, struct sink_words *words, const yaml_node_t *at,
	const char *key, const char *value)
{
	char pair[SINK_TEXT_MAX], why[300];
	struct sink_settings settings;
	size_t used = strlen(words->text);
	int len;

	/* YAML's own words for what a setting calls yes and no */
	if (is_yes(value) || is_no(value))
		value = is_yes(value) ? "yes" : "no";
	len = snprintf(pair, sizeof(pair), "%s=%s", key, value);
	if (strchr(value, '&'))
		return fail(w, at, key, "%s: a setting cannot have an & in it", value);
	if (len >= (int)(sizeof(words->text) - used - 1))
		return fail(w, at, key, "this sink's settings are too long");
	if (sink_settings_parse(pair, words->url.kind, &settings, why, sizeof(why)))
		return fail(w, at, "sinks", "%s", why);
	words->text[used] = strchr(words->text, '?') ? '&' : '?';
	memcpy(words->text + used + 1, pair, (size_t)len + 1);
	return 0;
}

static int take_sink_key(
	struct walk *w, struct sink_words *words, const yaml_node_t *key, const yaml_node_t *value)
{
	const char *name = text_of(w, key, "sinks"), *text;

	if (!name)
		return -EINVAL;
	text = text_of(w, value, name);
	if (!text)
		return -EINVAL;
	if (!strcmp(name, "url"))
		return 0;
	if (strcmp(name, "full"))
		return add_setting(w, words, key, name, text);
	if (!is_yes(text) && !is_no(text))
		return fail(w, key, name, "%s: give yes or no", text);
	words->full = is_yes(text);
	return 0;
}

static const char *find_url(struct walk *w, const yaml_node_t *sink)
{
	const yaml_node_pair_t *pair;

	for (pair = sink->data.mapping.pairs.start; pair < sink->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(&w->document, pair->key);

		if (key->type == YAML_SCALAR_NODE &&
			!strcmp((const char *)key->data.scalar.value, "url"))
			return text_of(w, yaml_document_get_node(&w->document, pair->value), "url");
	}
	fail(w, sink, "sinks", "a sink that is a mapping wants the key url");
	return NULL;
}

static void take_sink_mapping(struct walk *w, const yaml_node_t *sink)
{
	struct sink_words words = {.full = false};
	const char *url = find_url(w, sink);
	char error[OPTIONS_ERROR_MAX];
	const yaml_node_pair_t *pair;
	int err = 0;

	if (!url)
		return;
	if (sink_url_parse(url, &words.url, error, sizeof(error))) {
		fail(w, sink, "sinks", "%s", error);
		return;
	}
	snprintf(words.text, sizeof(words.text), "%s", url);
	for (pair = sink->data.mapping.pairs.start; pair < sink->data.mapping.pairs.top; pair++)
		err |= take_sink_key(w, &words, yaml_document_get_node(&w->document, pair->key),
			yaml_document_get_node(&w->document, pair->value));
	if (!err && !option_take_sink(w->p, words.text, place_of(w, sink)) && words.full)
		option_take_sink(w->p, "full", place_of(w, sink));
}

static void take_sink(struct walk *w, const yaml_node_t *node)
{
	if (node->type == YAML_MAPPING_NODE)
		take_sink_mapping(w, node);
	else
		take_sink_text(w, node);
}

static void take_sinks(struct walk *w, const yaml_node_t *key, const yaml_node_t *value)
{
	const yaml_node_item_t *item;

	if (w->sinks_line) {
		fail(w, key, "sinks", "this key is on line %u already", w->sinks_line);
		return;
	}
	w->sinks_line = place_of(w, key).line;
	if (value->type != YAML_SEQUENCE_NODE) {
		take_sink(w, value);
		return;
	}
	for (item = value->data.sequence.items.start; item < value->data.sequence.items.top; item++)
		take_sink(w, yaml_document_get_node(&w->document, *item));
}

static void take_pair(struct walk *w, const yaml_node_t *key, const yaml_node_t *value)
{
	const struct option_spec *spec;
	const char *name = text_of(w, key, NULL);
	unsigned before;

	if (!name)
		return;
	if (!strcmp(name, "sinks")) {
		take_sinks(w, key, value);
		return;
	}
	spec = option_find(name);
	before = spec ? w->p->places[spec - option_specs].line : 0;
	if (!spec)
		fail(w, key, name, "there is no such key: they are the long options and sinks");
	else if (spec->line_only)
		fail(w, key, name, "this stands only on the command line");
	else if (before)
		fail(w, key, name, "this key is on line %u already", before);
	else
		take_option(w, spec, key, value);
}

/* An empty file has nothing to say. */
static void take_document(struct walk *w)
{
	const yaml_node_t *root = yaml_document_get_root_node(&w->document);
	const yaml_node_pair_t *pair;

	if (!root)
		return;
	if (root->type != YAML_MAPPING_NODE) {
		fail(w, root, NULL, "give keys and values, as in: port: 53");
		return;
	}
	for (pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++)
		take_pair(w, yaml_document_get_node(&w->document, pair->key),
			yaml_document_get_node(&w->document, pair->value));
}

static int read_whole(struct option_parsing *p, const char *path, char **ret, size_t *ret_len)
{
	const struct options_source *s = p->source;
	int fd = s->open ? s->open(s->arg, path) : files_plain.open(NULL, path, O_RDONLY, 0);
	char *bytes = malloc(FILE_BYTES_MAX + 1);
	ssize_t got = 1;
	size_t len = 0;

	if (fd < 0 || !bytes) {
		free(bytes);
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	while (got > 0 && len <= FILE_BYTES_MAX) {
		got = read(fd, bytes + len, FILE_BYTES_MAX + 1 - len);
		len += got > 0 ? (size_t)got : 0;
	}
	got = got < 0 ? -errno : 0;
	close(fd);
	*ret = bytes;
	*ret_len = len;
	return len > FILE_BYTES_MAX ? -EFBIG : (int)got;
}

/* A second document would be read by nobody. */
static int check_end(struct walk *w, yaml_parser_t *parser)
{
	yaml_document_t next;
	struct option_place place = {w->path, 0};
	bool more;

	if (!yaml_parser_load(parser, &next))
		return -EINVAL;
	more = yaml_document_get_root_node(&next);
	place.line = (unsigned)next.start_mark.line + 1;
	yaml_document_delete(&next);
	if (more)
		option_fail(w->p, &place, NULL, "a second document begins here: keep to one");
	return 0;
}

/* What libyaml has counted so far of what it handles in quadratic time. */
struct load {
	unsigned depth, anchors;
};

/* Why a file with this token in it is not read; NULL: it may be. */
static const char *too_much(struct load *load, yaml_token_type_t type)
{
	switch (type) {
	case YAML_BLOCK_SEQUENCE_START_TOKEN:
	case YAML_BLOCK_MAPPING_START_TOKEN:
	case YAML_FLOW_SEQUENCE_START_TOKEN:
	case YAML_FLOW_MAPPING_START_TOKEN:
		return ++load->depth > DEPTH_MAX ? "lists and mappings are nested too deep here"
						 : NULL;
	case YAML_BLOCK_END_TOKEN:
	case YAML_FLOW_SEQUENCE_END_TOKEN:
	case YAML_FLOW_MAPPING_END_TOKEN:
		load->depth -= load->depth > 0;
		return NULL;
	case YAML_ANCHOR_TOKEN:
		return ++load->anchors > ANCHORS_MAX ? "there are too many anchors" : NULL;
	case YAML_TAG_DIRECTIVE_TOKEN:
		return "%TAG has no meaning here";
	default:
		return NULL;
	}
}

/* Before a tree is made of it. What is not YAML is told when it is. */
static int check_load(struct walk *w, yaml_parser_t *parser)
{
	struct option_place place = {w->path, 1};
	struct load load = {0};
	const char *why = NULL;
	yaml_token_t token;
	bool more = true;

	while (more && !why && yaml_parser_scan(parser, &token)) {
		why = too_much(&load, token.type);
		place.line = (unsigned)token.start_mark.line + 1;
		more = token.type != YAML_STREAM_END_TOKEN;
		yaml_token_delete(&token);
	}
	return why ? option_fail(w->p, &place, NULL, "%s", why) : 0;
}

static int begin(struct walk *w, yaml_parser_t *parser, const char *bytes, size_t len)
{
	const struct option_place place = {w->path, 1};

	if (!yaml_parser_initialize(parser))
		return option_fail(w->p, &place, NULL, "out of memory");
	yaml_parser_set_input_string(parser, (const unsigned char *)bytes, len);
	return 0;
}

static bool is_light(struct walk *w, const char *bytes, size_t len)
{
	yaml_parser_t parser;
	int err = begin(w, &parser, bytes, len);

	if (err)
		return false;
	err = check_load(w, &parser);
	yaml_parser_delete(&parser);
	return !err;
}

static void parse(struct walk *w, const char *bytes, size_t len)
{
	struct option_place place = {w->path, 1};
	yaml_parser_t parser;
	int good;

	if (!is_light(w, bytes, len) || begin(w, &parser, bytes, len))
		return;
	good = yaml_parser_load(&parser, &w->document);
	if (good) {
		take_document(w);
		good = !check_end(w, &parser);
		yaml_document_delete(&w->document);
	}
	place.line = (unsigned)parser.problem_mark.line + 1;
	if (!good)
		option_fail(w->p, &place, NULL, "this is not YAML: %s%s%s",
			parser.problem ? parser.problem : "it cannot be read",
			parser.context ? ", " : "", parser.context ? parser.context : "");
	yaml_parser_delete(&parser);
}

int option_read_file(struct option_parsing *p, const char *path)
{
	struct walk w = {.p = p, .path = path};
	char *bytes = NULL;
	size_t len = 0;
	int err = read_whole(p, path, &bytes, &len);

	if (err == -EFBIG)
		option_fail(p, NULL, NULL, "cannot read --config %.512s: it is larger than 1 MiB",
			path);
	else if (err)
		option_fail(p, NULL, NULL, "cannot read --config %.512s: %s", path, files_why(err));
	else
		parse(&w, bytes, len);
	free(bytes);
	return p->faults ? -EINVAL : 0;
}
