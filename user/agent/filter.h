/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the operator asked for, and what not: the authority that decides for each DNS message. The
 * BPF program drops early some of what is dropped here, and never anything else (bpf/filter.bpf.h).
 *
 * Two questions, because a response learns from its query:
 *
 *   filter_exchange   before queries and responses are brought together, the same answer for both:
 *                     networks (the client is the initiator, the server the responder, by the QR
 *                     bit), sampling (bpf/sample.h), names. What does not pass leaves no trace.
 *                     A message without a question passes only where no name is asked for.
 *   filter_message    when its type is known: types, and response codes of responses, with EDNS's
 *                     upper bits where the capture has them. A query passes any response code.
 *                     What does not pass has still asked or answered.
 *
 * The key of the sample is drawn once and stays through filter_replace, so that a reload with the
 * same N goes on with the same exchanges. Asking allocates nothing; each costs at most a binary
 * search a prefix length, one hash, OPTIONS_NAMES_MAX comparisons, and one walk over the message.
 * The filter copies what it needs of the options. One thread.
 */
#ifndef AGENT_FILTER_H
#define AGENT_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/options.h"
#include "base/flow.h"
#include "base/ledger.h"
#include "dnstap/message.h"
#include "wire/dns.h"

enum { FILTER_ERROR_MAX = 512, FILTER_SAMPLE_KEY_WORDS = 2 };

struct filter;

/* 0 or -errno, then error holds one line that says what to do. */
int filter_new(
	const struct options *options, struct filter **ret, char error[static FILTER_ERROR_MAX]);
void filter_free(struct filter *filter);
/* From now on these options; on an error the old ones stay. As filter_new. */
int filter_replace(
	struct filter *filter, const struct options *options, char error[static FILTER_ERROR_MAX]);

/* Whether messages must come whole for these options, whatever the sinks want. */
bool filter_wants_bytes(const struct options *options);

/* For the BPF program: the same key, the same sample. */
void filter_sample_key(const struct filter *filter, uint64_t ret[static FILTER_SAMPLE_KEY_WORDS]);

/*
 * True for what passes; else it is counted in the ledger, once, under the first of its reasons.
 * flow: the message's own direction; dns: whole (DNS_OK).
 */
bool filter_exchange(const struct filter *filter, const struct flow *flow, const struct dns *dns,
	struct ledger *ledger);
bool filter_message(const struct filter *filter, enum message_type type, const struct dns *dns,
	struct ledger *ledger);

/* Whether filter_client_address cuts anything at all. */
bool filter_anonymises(const struct filter *filter);

/*
 * The initiator's address as it may leave the process; copy has room for it where it is cut. here:
 * the initiator is this host and not the responder. What is cut is a client's address: that of
 * the initiator of AUTH, CLIENT and UPDATE messages always. RESOLVER, FORWARDER, STUB and TOOL say
 * that this host asks, and its own address tells of no client; but --role can give these types to
 * any message, so there it is cut unless it is this host's. A responder is a server, never cut.
 */
const uint8_t *filter_client_address(const struct filter *filter, enum message_type type, bool here,
	uint8_t family, const uint8_t address[16], uint8_t copy[static 16]);

#endif
