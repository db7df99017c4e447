/* SPDX-License-Identifier: BSD-2-Clause */
#include "heard.h"

#include <string.h>

#include "fuzz.h"

bool heard_add(struct heard *h, const uint8_t *key, uint32_t at, const uint8_t *bytes, uint32_t len)
{
	struct heard_piece *piece = &h->pieces[h->count];

	if (h->count == HEARD_PIECES_MAX)
		return false;
	memcpy(piece->key, key, HEARD_KEY_MAX);
	piece->at = at;
	piece->len = len;
	piece->bytes = fuzz_copy(bytes, len);
	h->count++;
	return true;
}

/* How many of the bytes stand in the piece, from the place `at` on. */
static uint32_t match(
	const struct heard_piece *piece, uint32_t at, const uint8_t *bytes, uint32_t len)
{
	uint32_t offset = at - piece->at, same = 0;

	if (offset >= piece->len)
		return 0;
	while (same < len && offset + same < piece->len &&
		piece->bytes[offset + same] == bytes[same])
		same++;
	return same;
}

bool heard_at(
	const struct heard *h, const uint8_t *key, uint32_t at, const uint8_t *bytes, uint32_t len)
{
	uint32_t longest = 1;

	while (len && longest) {
		longest = 0;
		for (size_t i = 0; i < h->count; i++) {
			uint32_t same;

			if (memcmp(h->pieces[i].key, key, HEARD_KEY_MAX))
				continue;
			same = match(&h->pieces[i], at, bytes, len);
			longest = same > longest ? same : longest;
		}
		at += longest;
		bytes += longest;
		len -= longest;
	}
	return !len;
}

/* quick: only where the piece itself goes on with the same bytes, or ends. */
static bool search(const struct heard *h, const uint8_t *key, size_t key_len, const uint8_t *bytes,
	uint32_t len, bool quick)
{
	for (size_t i = 0; i < h->count; i++) {
		const struct heard_piece *piece = &h->pieces[i];
		const uint8_t *at = piece->bytes;

		if (memcmp(piece->key, key, key_len))
			continue;
		while (piece->len &&
			(at = memchr(at, bytes[0], (size_t)(piece->bytes + piece->len - at)))) {
			uint32_t place = piece->at + (uint32_t)(at - piece->bytes);
			uint32_t left = (uint32_t)(piece->bytes + piece->len - at);

			if (quick && match(piece, place, bytes, len) < (left < len ? left : len))
				;
			else if (heard_at(h, piece->key, place, bytes, len))
				return true;
			if (++at == piece->bytes + piece->len)
				break;
		}
	}
	return false;
}

bool heard_somewhere(const struct heard *h, const uint8_t *key, size_t key_len,
	const uint8_t *bytes, uint32_t len)
{
	return search(h, key, key_len, bytes, len, true) ||
	       search(h, key, key_len, bytes, len, false);
}

void heard_forget(struct heard *h, const uint8_t *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->count; i++) {
		if (memcmp(h->pieces[i].key, key, HEARD_KEY_MAX))
			h->pieces[kept++] = h->pieces[i];
		else
			fuzz_free(h->pieces[i].bytes);
	}
	h->count = kept;
}

void heard_free(struct heard *h)
{
	for (size_t i = 0; i < h->count; i++)
		fuzz_free(h->pieces[i].bytes);
	h->count = 0;
}
