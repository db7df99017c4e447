/* SPDX-License-Identifier: BSD-2-Clause */
/* Which paths the opener takes for a sink, by what was asked alone: nothing is opened here. */
#include "agent_opener_room.h"

#include "agent/opener_rules.h"

static bool allows(const char *sink, const char *path, enum opener_verb verb, int flags)
{
	struct room *r = calloc(1, sizeof(*r));
	struct opener_request request = {.verb = verb, .flags = flags};
	bool allowed;

	assert_non_null(r);
	say(r, (const char *[]){sink, NULL});
	snprintf(request.path, sizeof(request.path), "%s", path);
	allowed = opener_rules_allow(&r->options, &request);
	options_free(&r->options);
	free(r);
	return allowed;
}

static bool creates(const char *template, const char *path)
{
	char sink[PATH];

	snprintf(sink, sizeof(sink), "file://%s", template);
	return allows(sink, path, OPENER_OPEN, CREATE_NEW);
}

static void test_templates(void **state)
{
	(void)state;
	assert_true(creates("/v/d-%Y%m%d.fstrm", "/v/d-20240102.fstrm"));
	assert_true(creates("/v/d-%Y%m%d.fstrm", "/v/d-20240102.fstrm.17"));
	assert_true(creates("/v/%H/%_5e%%x-%Z", "/v/07/    2%x-CET"));
	assert_true(creates("/v/%Y", "/v/2024.1"));
	assert_true(creates("/v/a%Sb%Sb", "/v/abbbb"));
	assert_true(creates("/v/x?rotate-size=1M", "/v/x.9999"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-2024.fstrn"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-2024.fstrm.10000"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-2024.fstrm.1x"));
	assert_false(creates("/v/d-%Y.fstrm", "/v/d-20/24.fstrm"));
	assert_false(creates("/v/%Y/x", "/v/../x"));
	assert_false(creates("/v/%Y/x", "/v/./x"));
	assert_false(creates("/v/%Y%m", "/v/a/b"));
	assert_false(creates("/v/x", "/v/x.1"));
	assert_false(creates("/v/x?rotate-size=1M", "/v/x.1.2"));
	assert_false(creates("/v/x?rotate-size=1M", "/v/x1"));
}

/* Of what was written before neither a byte nor the name goes. */
static void test_older_files(void **state)
{
	static const char sink[] = "file:///v/d-%Y.fstrm";

	(void)state;
	assert_false(allows(sink, "/v/d-2023.fstrm", OPENER_OPEN, CREATE | O_TRUNC));
	assert_false(allows(sink, "/v/d-2023.fstrm", OPENER_OPEN, CREATE));
	assert_false(allows(sink, "/v/d-2023.fstrm", OPENER_UNLINK, 0));
	assert_true(allows(sink, "/v/d-2023.fstrm", OPENER_DISCARD, 0));
	assert_true(allows(sink, "/v/d-2023.fstrm", OPENER_STATUS, 0));
	assert_false(allows("file:///v/x?rotate-size=1M", "/v/x", OPENER_OPEN, CREATE | O_TRUNC));
	assert_false(allows("file:///v/x?rotate-size=1M", "/v/x", OPENER_OPEN, CREATE));
	assert_false(allows("file:///v/x?rotate-size=1M", "/v/x", OPENER_OPEN, O_WRONLY));
}

static void test_tls(void **state)
{
	static const char sink[] = "tls://h?tls-ca=/c/ca&tls-cert=/c/cert.pem&tls-key=/c/key.pem";

	(void)state;
	assert_true(allows(sink, "/c/ca", OPENER_OPEN, O_RDONLY | O_DIRECTORY));
	assert_true(allows(sink, "/c/ca/12345678.0", OPENER_OPEN, O_RDONLY));
	assert_true(allows(sink, "/c/key.pem", OPENER_OPEN, O_RDONLY));
	assert_true(allows(sink, "/c/cert.pem", OPENER_STATUS, 0));
	assert_false(allows(sink, "/c/key.pem", OPENER_OPEN, O_WRONLY));
	assert_false(allows(sink, "/c/key.pem", OPENER_OPEN, O_RDONLY | O_TRUNC));
	assert_false(allows(sink, "/c/ca/../key", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/ca/..", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/other.pem", OPENER_OPEN, O_RDONLY));
	assert_true(allows(sink, "/c/ca/12345678.r1", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/ca/ca.key", OPENER_OPEN, O_RDONLY));
	assert_false(allows(sink, "/c/ca/ca.key", OPENER_STATUS, 0));
	assert_false(allows("unix:///s", "/c/key.pem", OPENER_OPEN, O_RDONLY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_older_files),
		cmocka_unit_test(test_tls),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
