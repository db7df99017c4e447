/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The mnemonics of the DNS parameters of IANA, as far as golang-dnstap 0.4.0 writes them, so that
 * lines are the same as its. NULL: no mnemonic; the number is then written as in RFC 3597. Pure.
 */
#ifndef DNSTAP_NAMES_H
#define DNSTAP_NAMES_H

#include <stdint.h>

const char *names_type(uint16_t type);
/* ANY has none, for it is also a type. */
const char *names_class(uint16_t qclass);
const char *names_rcode(uint8_t rcode);

#endif
