/* SPDX-License-Identifier: BSD-2-Clause */
/* No memory for a room, or no randomness: NULL or an error, and nothing is left behind. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pipeline.h"
#include "agent/summary.h"
#include "base/prefixes.h"
#include "base/table.h"
#include "capture/assembly.h"
#include "dnstap/lines.h"
#include "dnstap/message.h"
#include "exchange/copies.h"
#include "exchange/exchanges.h"
#include "exchange/held.h"
#include "exchange/roles.h"
#include "scene.h"
#include "record.h"
#include "sink/queue.h"
#include "wire/duplicates.h"
#include "wire/fragments.h"
#include "wire/streams.h"

static struct ledger ledger;

/* NULL exactly where a call failed. */
#define CHECK_NEW(type, new, free)                                                                 \
	do {                                                                                       \
		struct type *made = new;                                                           \
                                                                                                   \
		failures_check(!made == failures_failed());                                        \
		free(made);                                                                        \
		if (!made)                                                                         \
			return;                                                                    \
	} while (0)

static void new_rooms(enum failures_how how)
{
	static struct fragments_counts counts;
	struct streams_output output = {0};
	struct queue *queue = NULL;
	int rc;

	(void)how;
	CHECK_NEW(table, table_new(100, 8, 8), table_free);
	CHECK_NEW(prefixes, prefixes_new(), prefixes_free);
	CHECK_NEW(fragments, fragments_new(100, FRAGMENTS_MEMORY_MIN, &counts), fragments_free);
	CHECK_NEW(streams, streams_new(10, STREAMS_MEMORY_MIN, &output), streams_free);
	CHECK_NEW(duplicates, duplicates_new(), duplicates_free);
	CHECK_NEW(exchanges, exchanges_new(100, 1, &ledger), exchanges_free);
	CHECK_NEW(roles, roles_new(ROLE_AUTO), roles_free);
	CHECK_NEW(held, held_new(), held_free);
	CHECK_NEW(copies, copies_new(COPIES_MEMORY_MIN), copies_free);
	CHECK_NEW(encoder, encoder_new("identity", "version"), encoder_free);
	CHECK_NEW(lines, lines_new(LINES_JSON, "identity", "version"), lines_free);
	rc = queue_new(SINK_QUEUE_MIN, &queue);
	failures_check(!rc == !failures_failed() && (rc == -ENOMEM || rc == -EMFILE || !rc));
	queue_free(queue);
}

/* The set stays what it was. */
static void fill_prefixes(enum failures_how how)
{
	struct prefixes *prefixes = prefixes_new();
	uint8_t address[16] = {10};

	(void)how;
	if (!prefixes)
		return;
	for (address[1] = 0; address[1] < 200; address[1]++) {
		uint8_t family = address[1] & 1 ? FAMILY_IPV4 : FAMILY_IPV6;
		int rc = prefixes_add(prefixes, family, address, 16 + address[1] % 3);

		failures_check(!rc || (rc == -ENOMEM && failures_failed()));
		failures_check(prefixes_contain(prefixes, family, address) || rc);
	}
	prefixes_free(prefixes);
}

static void on_packet(void *arg, const struct captured *packet)
{
	(void)packet;
	(*(size_t *)arg)++;
}

/* A packet of three records; without memory each of its records is counted as broken, or none. */
static void assemble(enum failures_how how)
{
	static uint8_t bytes[sizeof(struct record) + RECORD_BYTES_MAX];
	struct assembly *assembly = calloc(1, sizeof(*assembly));
	size_t packets = 0;

	(void)how;
	if (!assembly)
		return;
	for (uint32_t part = 0; part < 3; part++) {
		struct record r = {.time = 1,
			.wire = 3 * RECORD_BYTES_MAX,
			.offset = part * RECORD_BYTES_MAX,
			.have = RECORD_BYTES_MAX,
			.version = RECORD_VERSION};

		memcpy(bytes, &r, sizeof(r));
		assembly_take(assembly, bytes, sizeof(bytes), on_packet, &packets);
	}
	failures_check(packets == !failures_failed());
	failures_check(!packets == (assembly->broken > 0));
	assembly_done(assembly);
	free(assembly);
}

static void new_pipeline(enum failures_how how)
{
	static struct options options;
	static char words[][16] = {"dnstap-bpf", "--with-query", "/run/x", "full"};
	char *argv[] = {words[0], words[1], words[2], words[3], NULL};
	char error[OPTIONS_ERROR_MAX];
	struct own own = OWN_INITIALISER;
	struct pipeline_options o = {
		.options = &options, .identity = "x", .version = "y", .own = &own};
	struct pipeline *pipeline;

	(void)how;
	failures_check(!options_parse(4, argv, &options, error));
	pipeline = pipeline_new(&o);
	failures_check(!pipeline == failures_failed());
	if (pipeline)
		pipeline_drain(pipeline);
	pipeline_free(pipeline);
}

int main(void)
{
	static const struct scene_test tests[] = {
		SCENE_TEST(new_rooms, FAILURES_ERROR | FAILURES_ALL),
		SCENE_TEST(fill_prefixes, FAILURES_ERROR | FAILURES_ALL),
		SCENE_TEST(assemble, FAILURES_ERROR | FAILURES_ALL),
		SCENE_TEST(new_pipeline, FAILURES_ERROR | FAILURES_ALL),
	};

	return scene_main(tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
}
