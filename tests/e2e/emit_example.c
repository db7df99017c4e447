/* SPDX-License-Identifier: BSD-2-Clause */
/* Emits one query and its response with libdnstap-emit: emit_example SINK [full]... */
#include <arpa/inet.h>
#include <stdio.h>

#include "dnstap-emit.h"

static const unsigned char query[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1";
static const unsigned char response[] = "\x12\x34\x81\x80\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1";

int main(int argc, char **argv)
{
	struct dnstap_emit_options options = {.identity = "example", .version = "1"};
	struct sockaddr_in client = {.sin_family = AF_INET, .sin_port = htons(40000)};
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct dnstap_emit_message m = {
		.type = DNSTAP_EMIT_CLIENT_QUERY,
		.protocol = DNSTAP_EMIT_UDP,
		.query_address = (struct sockaddr *)&client,
		.response_address = (struct sockaddr *)&server,
		.query = {query, sizeof(query) - 1},
	};
	struct dnstap_emit_counts counts[8];
	struct dnstap_emit *emit;
	char error[256];

	inet_pton(AF_INET, "198.51.100.1", &client.sin_addr);
	inet_pton(AF_INET, "198.51.100.2", &server.sin_addr);
	if (dnstap_emit_open(&options, (const char *const *)argv + 1, (size_t)argc - 1, &emit,
		    error, sizeof(error))) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	clock_gettime(CLOCK_REALTIME, &m.query_time);
	if (dnstap_emit_tap(emit, &m))
		return 1;
	m.type = DNSTAP_EMIT_CLIENT_RESPONSE;
	m.query.at = NULL;
	m.response = (struct dnstap_emit_bytes){response, sizeof(response) - 1};
	clock_gettime(CLOCK_REALTIME, &m.response_time);
	if (dnstap_emit_tap(emit, &m))
		return 1;
	dnstap_emit_close(emit, counts);
	return counts[0].confirmed == 2 ? 0 : 1;
}
