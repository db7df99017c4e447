/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The zone that a response comes from, where the response itself proves it: the owner of an SOA in
 * its authority section (a negative answer), or of NS records there if AA is set. The NS records
 * of a referral name the zone below, not the one that answered, and prove nothing. The question's
 * name must lie in the zone: an answer that follows a CNAME elsewhere may name another. In an
 * UPDATE the question names the zone (RFC 2136, 2.3).
 *
 * Compressed names are followed backwards only, so that they end (RFC 1035, 4.1.4). Pure.
 */
#ifndef WIRE_ZONE_H
#define WIRE_ZONE_H

#include "wire/dns.h"

/* The zone's name, uncompressed, in wire format; returns its length, 0: not proven. */
uint32_t zone_of(const struct dns *dns, uint8_t name[static DNS_NAME_MAX]);

#endif
