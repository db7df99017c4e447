/* SPDX-License-Identifier: BSD-2-Clause */
#include "dnstap/lines.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/flow.h"
#include "dnstap/names.h"
#include "dnstap/text.h"

enum {
	BASE64_MAX = (DNS_MESSAGE_MAX + 2) / 3 * 4,
	KEYS_MAX = 1024, /* all keys, addresses, times, numbers and punctuation: some 500 */
	/* identity, version, extra; qname and query_zone, whose backslashes JSON doubles */
	LINE_MAX_LEN = 3 * TEXT_JSON_FACTOR * MESSAGE_TEXT_MAX + 2 * 2 * TEXT_NAME_MAX +
		       2 * BASE64_MAX + KEYS_MAX,
};

struct lines {
	enum lines_format format;
	size_t head_len; /* the start of each JSON line stays in the buffer */
	char buffer[LINE_MAX_LEN];
};

static void put_mnemonic(
	struct text *text, const char *mnemonic, const char *prefix, unsigned number)
{
	if (mnemonic) {
		text_string(text, mnemonic);
		return;
	}
	text_string(text, prefix);
	text_number(text, number, 1);
}

static const char *protocol_name(const struct message *m)
{
	return m->protocol == IPPROTO_UDP ? "UDP" : "TCP";
}

/* As in `CQ`: whose view it is, by pairs of the enum; NUL where golang-dnstap has none. */
static char view_letter(enum message_type type)
{
	static const char letters[] = {0, 'A', 'R', 'C', 'F', 0, 'T', 'U'};
	size_t pair = ((size_t)type + 1) / 2;

	return letters[pair < sizeof(letters) ? pair : 0];
}

/* A server's view names its client; the others name the server. */
static const uint8_t *text_line_address(const struct message *m)
{
	switch (m->type) {
	case MESSAGE_AUTH_QUERY:
	case MESSAGE_AUTH_RESPONSE:
	case MESSAGE_CLIENT_QUERY:
	case MESSAGE_CLIENT_RESPONSE:
		return m->query_address;
	default:
		return m->response_address;
	}
}

static void put_text_start(struct text *text, const struct message *m)
{
	uint64_t time = message_is_query(m) ? m->query_time : m->response_time;
	const uint8_t *address = text_line_address(m);

	if (time)
		text_time_local(text, time);
	else
		text_string(text, "??:??:??.??????");
	text_char(text, ' ');
	text_char(text, view_letter(m->type));
	text_string(text, message_is_query(m) ? "Q " : "R ");
	if (address)
		text_address(text, address, family_len(m->family));
	else
		text_string(text, "MISSING_ADDRESS");
	text_char(text, ' ');
	text_string(text, protocol_name(m));
	text_char(text, ' ');
}

static void put_text_question(struct text *text, const struct dns *dns)
{
	text_char(text, '"');
	text_name(text, dns->qname, dns->qname_len);
	text_string(text, "\" ");
	put_mnemonic(text, names_class(dns->qclass), "CLASS", dns->qclass);
	text_char(text, ' ');
	put_mnemonic(text, names_type(dns->qtype), "TYPE", dns->qtype);
	text_char(text, '\n');
}

static void put_text(struct text *text, const struct message *m, bool full)
{
	struct bytes wire = message_is_query(m) ? message_query_bytes(m, full)
						: message_response_bytes(m, full);

	if (!view_letter(m->type)) {
		text_string(text, "[unhandled Message.Type]\n");
		return;
	}
	put_text_start(text, m);
	text_number(text, wire.at ? wire.len : 0, 1);
	text_string(text, "b ");
	if (wire.at && wire.len && m->dns && m->dns->qname)
		put_text_question(text, m->dns);
	else
		text_string(text, "X \n");
}

/* Every key stands behind another one; a value that is absent is left out with its key. */
static void put_key(struct text *text, const char *key)
{
	text_string(text, ",\"");
	text_string(text, key);
	text_string(text, "\":");
}

static void put_json_string(struct text *text, const char *key, const void *at, size_t len)
{
	if (!at || !len)
		return;
	put_key(text, key);
	text_json_string(text, at, len);
}

static void put_json_time(struct text *text, const char *key, uint64_t wall)
{
	if (!wall)
		return;
	put_key(text, key);
	text_char(text, '"');
	text_time_utc(text, wall);
	text_char(text, '"');
}

static void put_json_address(
	struct text *text, const char *key, const uint8_t *address, uint8_t family)
{
	if (!address)
		return;
	put_key(text, key);
	text_char(text, '"');
	text_address(text, address, family_len(family));
	text_char(text, '"');
}

static void put_json_port(struct text *text, const char *key, uint16_t port)
{
	if (!port)
		return;
	put_key(text, key);
	text_number(text, port, 1);
}

static void put_json_name(struct text *text, const char *key, const uint8_t *name, size_t len)
{
	char buffer[TEXT_NAME_MAX];
	struct text plain = text_over(buffer, sizeof(buffer));

	if (name && text_name(&plain, name, len))
		put_json_string(text, key, buffer, (size_t)(plain.at - buffer));
}

static void put_json_wire(struct text *text, const char *key, struct bytes wire)
{
	if (!wire.at)
		return;
	put_key(text, key);
	text_char(text, '"');
	text_base64(text, wire.at, wire.len);
	text_char(text, '"');
}

static void put_json_mnemonic(struct text *text, const char *key, const char *mnemonic,
	const char *prefix, unsigned number)
{
	put_key(text, key);
	text_char(text, '"');
	put_mnemonic(text, mnemonic, prefix, number);
	text_char(text, '"');
}

static void put_json_dns(struct text *text, const struct message *m)
{
	const struct dns *dns = m->dns;

	if (!dns)
		return;
	if (dns->qname) {
		put_json_name(text, "qname", dns->qname, dns->qname_len);
		put_json_mnemonic(text, "qtype", names_type(dns->qtype), "TYPE", dns->qtype);
	}
	if (!message_is_query(m))
		put_json_mnemonic(text, "rcode", names_rcode(dns->rcode), "RCODE", dns->rcode);
}

/* The part of a line that is the same in all. */
static void put_json_head(struct text *text, const char *identity, const char *version)
{
	text_string(text, "{\"type\":\"MESSAGE\"");
	put_json_string(text, "identity", identity, strlen(identity));
	put_json_string(text, "version", version, strlen(version));
}

static void put_json(struct text *text, const struct message *m, bool full)
{
	const char *type = message_type_name(m->type);

	put_json_string(text, "extra", m->extra.at, m->extra.len);
	text_string(text, ",\"message\":{\"type\":\"");
	text_string(text, type ? type : "");
	text_char(text, '"');
	put_json_time(text, "query_time", m->query_time);
	put_json_time(text, "response_time", m->response_time);
	if (m->family)
		text_string(text, m->family == FAMILY_IPV4 ? ",\"socket_family\":\"INET\""
							   : ",\"socket_family\":\"INET6\"");
	text_string(text, ",\"socket_protocol\":\"");
	text_string(text, protocol_name(m));
	text_char(text, '"');
	put_json_address(text, "query_address", m->query_address, m->family);
	put_json_address(text, "response_address", m->response_address, m->family);
	put_json_port(text, "query_port", m->query_port);
	put_json_port(text, "response_port", m->response_port);
	put_json_name(text, "query_zone", m->query_zone.at, m->query_zone.len);
	put_json_wire(text, "query_wire", message_query_bytes(m, full));
	put_json_wire(text, "response_wire", message_response_bytes(m, full));
	put_json_dns(text, m);
	text_string(text, "}}\n");
}

struct lines *lines_new(enum lines_format format, const char *identity, const char *version)
{
	struct lines *lines;
	struct text text;

	identity = identity ? identity : "";
	version = version ? version : "";
	if (!message_text_valid(identity) || !message_text_valid(version))
		return NULL;
	lines = malloc(sizeof(*lines));
	if (!lines)
		return NULL;
	tzset();
	lines->format = format;
	text = text_over(lines->buffer, sizeof(lines->buffer));
	if (format == LINES_JSON)
		put_json_head(&text, identity, version);
	lines->head_len = (size_t)(text.at - lines->buffer);
	return lines;
}

void lines_free(struct lines *lines)
{
	free(lines);
}

struct bytes lines_format(struct lines *lines, const struct message *m, bool full)
{
	struct text text = text_over(lines->buffer, sizeof(lines->buffer));

	text.at += lines->head_len;
	if (lines->format == LINES_JSON)
		put_json(&text, m, full);
	else
		put_text(&text, m, full);
	if (text.failed)
		return (struct bytes){0};
	return (struct bytes){
		.at = (const uint8_t *)lines->buffer, .len = (size_t)(text.at - lines->buffer)};
}
