/* SPDX-License-Identifier: BSD-2-Clause */
/* agent/options and agent/extra: each line of the input is a word of the command line. */
#include <errno.h>

#include "agent/extra.h"
#include "agent/options.h"
#include "dnstap/text.h"
#include "exchange/exchanges.h"
#include "fuzz.h"
#include "wire/streams.h"

enum { WORDS_MAX = 64 };

/* In place of if_indextoname (--wrap): the longest name, and one that is no UTF-8. */
char *__wrap_if_indextoname(unsigned int index, char *name);
char *__wrap_if_indextoname(unsigned int index, char *name)
{
	return strcpy(name, index == 1 ? "an-interface-of" : "\xff\xfe");
}

static void check_text(struct bytes text)
{
	FUZZ_CHECK(text.len <= MESSAGE_TEXT_MAX && text_is_utf8(text.at, text.len));
}

static void check_extra(const char *template)
{
	const struct origin origin = {.ifindex = 1, .vlan = 4094}, odd = {.ifindex = 2};
	char error[EXTRA_ERROR_MAX];
	struct extra *extra = NULL;
	int rc = extra_new(template, &extra, error);

	FUZZ_CHECK(rc == 0 || rc == -EINVAL);
	if (rc) {
		fuzz_check_error(error, sizeof(error));
		return;
	}
	check_text(extra_format(extra, &origin));
	check_text(extra_format(extra, &odd));
	extra_free(extra);
}

static void check_options(const struct options *o)
{
	if (o->show_help || o->show_version)
		return;
	FUZZ_CHECK(o->sink_count && o->sink_count <= OPTIONS_SINKS_MAX);
	FUZZ_CHECK(o->port_count && o->port_count <= OPTIONS_PORTS_MAX);
	for (size_t i = 0; i < o->port_count; i++)
		FUZZ_CHECK(o->ports[i]);
	FUZZ_CHECK(o->local_count <= OPTIONS_LOCAL_MAX);
	for (size_t i = 0; i < o->local_count; i++)
		FUZZ_CHECK(o->local[i].len <= 8 * family_len(o->local[i].family));
	FUZZ_CHECK(o->interface_count <= OPTIONS_INTERFACES_MAX);
	FUZZ_CHECK(!(o->ring_size & (o->ring_size - 1)));
	FUZZ_CHECK(o->max_queries >= EXCHANGES_MAX_QUERIES_MIN &&
		   o->max_queries <= EXCHANGES_MAX_QUERIES_MAX);
	FUZZ_CHECK(o->query_timeout >= EXCHANGES_TIMEOUT_MIN &&
		   o->query_timeout <= EXCHANGES_TIMEOUT_MAX);
	FUZZ_CHECK(o->max_streams >= STREAMS_MAX_MIN && o->max_streams <= STREAMS_MAX_MAX);
	FUZZ_CHECK(
		o->stream_memory >= STREAMS_MEMORY_MIN && o->stream_memory <= STREAMS_MEMORY_MAX);
	if (o->extra)
		check_extra(o->extra);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options *options = malloc(sizeof(*options));
	char *text = malloc(size + 1), *rest = text, *word;
	char *argv[WORDS_MAX + 2] = {strdup("dnstap-bpf")};
	char error[OPTIONS_ERROR_MAX] = "";
	int argc = 1, rc;

	FUZZ_CHECK(options && text && argv[0]);
	memcpy(text, data, size);
	text[size] = 0;
	while (argc <= WORDS_MAX && (word = strsep(&rest, "\n")))
		FUZZ_CHECK((argv[argc++] = strdup(word)));
	rc = options_parse(argc, argv, options, error);
	FUZZ_CHECK(rc == 0 || rc == -EINVAL);
	if (rc)
		fuzz_check_error(error, sizeof(error));
	else
		check_options(options);
	options_free(options);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	free(text);
	free(options);
	return 0;
}
