/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One line of text a message, for people and for pipes. Every byte from the wire is escaped so
 * that a line is always one line of printable ASCII. Lines end with a newline.
 *
 * LINES_TEXT is what golang-dnstap 0.4.0's `dnstap -q` prints of the same frame, to the byte, its
 * oddities included: local time, CLASS255 for ANY, `[unhandled Message.Type]` for STUB_*, and `X`
 * for a message without a question or, as without full, without bytes. Ours differs in one thing:
 * golang-dnstap prints X also where a resource record behind the question cannot be parsed, and
 * ours prints the question, for it judges by the header and the question alone (wire/dns.h).
 *
 * LINES_JSON is one object with golang-dnstap's keys in its order. In place of the dig-style
 * strings query_message and response_message stand query_wire and response_wire (base64, if full)
 * and, full or not, qname, qtype and, of a response, rcode (the header's 4 bits; RCODE11 and so on
 * where there is no mnemonic). What is unknown is left out, extra is a string beside identity. A
 * query's copy in a response stays, whatever its size: the limit is the frame's, not the line's.
 *
 * The buffer is made by lines_new for the longest line there is (JSON: two messages of 64 KiB).
 * One writer, one thread, no allocation after lines_new, which also calls tzset(): the local time
 * zone is looked up once.
 */
#ifndef DNSTAP_LINES_H
#define DNSTAP_LINES_H

#include "dnstap/message.h"

enum lines_format { LINES_TEXT, LINES_JSON };

struct lines;

/* identity and version as in encoder_new, with its limits; copied. NULL likewise. */
struct lines *lines_new(enum lines_format format, const char *identity, const char *version);
void lines_free(struct lines *lines);

/*
 * The line, valid until the next call; with the wire bytes (their length, in text) if full. A NULL
 * `at` only when a field is longer than DNS or message.h lets it be.
 */
struct bytes lines_format(struct lines *lines, const struct message *m, bool full);

#endif
