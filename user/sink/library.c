/* SPDX-License-Identifier: BSD-2-Clause */
/* The public functions of libdnstap-emit, over the same rooms as the agent's. */
#include "sink/dnstap-emit.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/flow.h"
#include "base/log.h"
#include "dnstap/message.h"
#include "sink/emit.h"
#include "sink/sink.h"
#include "sink/words.h"

enum { SINKS_MAX = 8 };

struct dnstap_emit {
	struct emit *emit;
	struct sink *sinks[SINKS_MAX];
	size_t count;
};

static int fail(int err, const char *what, char *error, size_t error_size)
{
	snprintf(error, error_size, "%s", what);
	return err;
}

static int open_sinks(struct dnstap_emit *e, const struct dnstap_emit_options *options,
	const struct sink_url *urls, size_t count, char *error, size_t error_size)
{
	struct sink_options sink = {
		.queue_size = options->queue_size ? options->queue_size : SINK_QUEUE_DEFAULT,
		.failure_fd = -1,
		.interrupt_fd = -1,
	};

	for (size_t i = 0; i < count; i++) {
		int err = sink_new(&urls[i], &sink, &e->sinks[i], error, error_size);

		if (err)
			return err;
		e->count++;
	}
	return 0;
}

static int open_all(struct dnstap_emit *e, const struct dnstap_emit_options *options,
	const char *const *words, size_t count, char *error, size_t error_size)
{
	struct sink_url *urls = calloc(SINKS_MAX, sizeof(*urls));
	size_t url_count = 0;
	int err = urls ? 0 : fail(-ENOMEM, "out of memory", error, error_size);

	for (size_t i = 0; i < count && !err; i++)
		err = words_take(urls, &url_count, SINKS_MAX, words[i], error, error_size);
	if (!err && !url_count)
		err = fail(-EINVAL, "no sink is named", error, error_size);
	if (!err)
		err = open_sinks(e, options, urls, url_count, error, error_size);
	free(urls);
	return err;
}

int dnstap_emit_open(const struct dnstap_emit_options *options, const char *const *words,
	size_t count, struct dnstap_emit **ret, char *error, size_t error_size)
{
	struct dnstap_emit *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return fail(-ENOMEM, "out of memory", error, error_size);
	log_set_function(options->log);
	err = open_all(e, options, words, count, error, error_size);
	if (err)
		goto out;
	e->emit = emit_new(e->sinks, e->count, LINES_TEXT, options->identity, options->version);
	if (!e->emit)
		err = fail(-EINVAL,
			"out of memory, or identity or version is over 1024 bytes or not UTF-8",
			error, error_size);
out:
	if (err)
		dnstap_emit_close(e, NULL);
	else
		*ret = e;
	return err;
}

bool dnstap_emit_wants_bytes(const struct dnstap_emit *e)
{
	return emit_wants_bytes(e->emit);
}

/* One end of the exchange; both must be of one family. */
static bool take_address(
	const struct sockaddr *s, uint8_t *family, const uint8_t **address, uint16_t *port)
{
	const struct sockaddr_in6 *in6 = (const void *)s;
	const struct sockaddr_in *in = (const void *)s;
	uint8_t own;

	if (!s)
		return true;
	if (s->sa_family == AF_INET) {
		own = FAMILY_IPV4;
		*address = (const uint8_t *)&in->sin_addr;
		*port = ntohs(in->sin_port);
	} else if (s->sa_family == AF_INET6) {
		own = FAMILY_IPV6;
		*address = (const uint8_t *)&in6->sin6_addr;
		*port = ntohs(in6->sin6_port);
	} else {
		return false;
	}
	if (*family && *family != own)
		return false;
	*family = own;
	return true;
}

static bool take_time(const struct timespec *t, uint64_t *wall)
{
	if (t->tv_sec < 0 || t->tv_nsec < 0 || t->tv_nsec >= (long)NS_PER_SECOND)
		return false;
	*wall = (uint64_t)t->tv_sec * NS_PER_SECOND + (uint64_t)t->tv_nsec;
	return true;
}

static bool take_bytes(const struct dnstap_emit_bytes *from, size_t max, struct bytes *to)
{
	*to = (struct bytes){.at = from->at, .len = from->at ? from->len : 0};
	return to->len <= max;
}

static bool take_message(const struct dnstap_emit_message *from, struct message *to)
{
	*to = (struct message){
		.type = (enum message_type)from->type,
		.protocol = from->protocol == DNSTAP_EMIT_TCP ? IPPROTO_TCP : IPPROTO_UDP,
	};
	if (!message_type_name(to->type))
		return false;
	if (message_is_query(to) && from->response.at)
		return false;
	return take_address(
		       from->query_address, &to->family, &to->query_address, &to->query_port) &&
	       take_address(from->response_address, &to->family, &to->response_address,
		       &to->response_port) &&
	       take_time(&from->query_time, &to->query_time) &&
	       take_time(&from->response_time, &to->response_time) &&
	       take_bytes(&from->query, DNS_MESSAGE_MAX, &to->query) &&
	       take_bytes(&from->response, DNS_MESSAGE_MAX, &to->response) &&
	       take_bytes(&from->query_zone, DNS_NAME_MAX, &to->query_zone) &&
	       take_bytes(&from->extra, MESSAGE_TEXT_MAX, &to->extra);
}

int dnstap_emit_tap(struct dnstap_emit *e, const struct dnstap_emit_message *message)
{
	struct message m;
	struct bytes bytes;
	struct dns dns;

	if (!take_message(message, &m))
		return -EINVAL;
	bytes = message_is_query(&m) ? m.query : m.response;
	if (bytes.at &&
		dns_parse(bytes.at, (uint32_t)bytes.len, (uint32_t)bytes.len, &dns) == DNS_OK)
		m.dns = &dns;
	if (!emit_message(e->emit, &m))
		return -EMSGSIZE;
	emit_flush(e->emit);
	return 0;
}

size_t dnstap_emit_sink_count(const struct dnstap_emit *e)
{
	return e->count;
}

void dnstap_emit_read_counts(
	const struct dnstap_emit *e, size_t sink, struct dnstap_emit_counts *ret)
{
	struct sink_counts c;

	sink_read_counts(e->sinks[sink], &c);
	*ret = (struct dnstap_emit_counts){
		.frames = c.offered,
		.confirmed = c.confirmed,
		.unconfirmed = c.unconfirmed,
		.in_flight = c.queued + c.written,
		.connections = c.connections,
	};
	ret->lost = ret->frames - ret->confirmed - ret->unconfirmed - ret->in_flight;
}

void dnstap_emit_close(struct dnstap_emit *e, struct dnstap_emit_counts *counts)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->count; i++)
		sink_stop_begin(e->sinks[i]);
	for (size_t i = 0; i < e->count; i++) {
		sink_stop(e->sinks[i]);
		if (counts)
			dnstap_emit_read_counts(e, i, &counts[i]);
	}
	emit_free(e->emit);
	for (size_t i = 0; i < e->count; i++)
		sink_free(e->sinks[i]);
	free(e);
}
