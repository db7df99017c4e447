/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/url.h"

static char error[512];

static struct sink_url good(const char *text)
{
	struct sink_url url;

	error[0] = 0;
	if (sink_url_parse(text, &url, error, sizeof(error)))
		fail_msg("'%s' was refused: %s", text, error);
	assert_string_equal(url.text, text);
	assert_false(url.full);
	return url;
}

static void refused(const char *text, const char *says)
{
	struct sink_url url;

	error[0] = 0;
	assert_int_equal(sink_url_parse(text, &url, error, sizeof(error)), -EINVAL);
	if (!strstr(error, says))
		fail_msg("'%s': '%s' does not say '%s'", text, error, says);
	assert_null(strchr(error, '\n'));
}

static void paths_are_unix_sockets(void **state)
{
	static const char *const same[][2] = {
		{"/tmp/dnstap.sock", "/tmp/dnstap.sock"},
		{"./dnstap.sock", "./dnstap.sock"},
		{"run/dnstap.sock", "run/dnstap.sock"},
		{"./full", "./full"},
		{"unix:///tmp/a b", "/tmp/a b"},
		{"unix://relative", "relative"},
		{"/tmp/odd://name", "/tmp/odd://name"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct sink_url url = good(same[i][0]);

		assert_int_equal(url.kind, SINK_UNIX);
		assert_string_equal(url.target, same[i][1]);
	}
}

static void a_unix_path_may_have_107_bytes(void **state)
{
	char path[SINK_UNIX_PATH_MAX + 2];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[SINK_UNIX_PATH_MAX + 1] = 0;
	refused(path, "107 bytes");
	path[SINK_UNIX_PATH_MAX] = 0;
	assert_int_equal(good(path).kind, SINK_UNIX);
}

static void files_and_lines(void **state)
{
	struct sink_url url;

	(void)state;
	url = good("file:///var/log/x.fstrm");
	assert_int_equal(url.kind, SINK_FILE);
	assert_string_equal(url.target, "/var/log/x.fstrm");
	url = good("file://x.fstrm");
	assert_int_equal(url.kind, SINK_FILE);
	assert_string_equal(url.target, "x.fstrm");
	url = good("-");
	assert_int_equal(url.kind, SINK_LINES);
	assert_string_equal(url.target, "");
}

static void tcp_takes_names_and_addresses(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} same[] = {
		{"tcp://collector.example.net", "collector.example.net", 6000},
		{"tcp://collector:1", "collector", 1},
		{"tcp://127.0.0.1:65535", "127.0.0.1", 65535},
		{"tcp://[::1]", "::1", 6000},
		{"tcp://[2001:db8::1]:7000", "2001:db8::1", 7000},
		{"tcp://[fe80::1%eth0]:7000", "fe80::1%eth0", 7000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct sink_url url = good(same[i].text);

		assert_int_equal(url.kind, SINK_TCP);
		assert_string_equal(url.target, same[i].host);
		assert_int_equal(url.port, same[i].port);
	}
}

static void tls_is_written_as_tcp_is(void **state)
{
	struct sink_url url = good("tls://collector.example.net?tls-ca=/etc/a b.pem&tls-verify=no");

	(void)state;
	assert_int_equal(url.kind, SINK_TLS);
	assert_int_equal(url.port, 6000);
	assert_string_equal(url.target, "collector.example.net");
	assert_string_equal(sink_setting(&url.settings, url.settings.tls_ca, NULL), "/etc/a b.pem");
	assert_int_equal(url.settings.tls_verify, SINK_NO);
	/* what is not given leaves it to the program's own options */
	assert_string_equal(sink_setting(&url.settings, url.settings.tls_cert, "other"), "other");
	assert_int_equal(url.settings.unidirectional, SINK_NOT_SAID);
}

static void options_follow_any_sink(void **state)
{
	static const char *const texts[] = {
		"/tmp/s", "unix:///tmp/s", "tcp://[::1]:1", "tls://host", "file:///f", "-"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(text, sizeof(text), "%s?queue=2M", texts[i]);
		assert_int_equal(good(text).settings.queue_size, 2 * 1024 * 1024);
	}
	assert_string_equal(good("/tmp/s?unidirectional=yes").target, "/tmp/s");
	assert_int_equal(good("tcp://h:7?unidirectional=yes").settings.unidirectional, SINK_YES);
	assert_int_equal(good("tcp://h:7?queue=131072").port, 7);
	assert_int_equal(good("file:///f?rotate-interval=90m").settings.rotate_interval, 5400);
	assert_int_equal(good("file:///f?rotate-interval=2d").settings.rotate_interval, 172800);
	assert_int_equal(good("file:///%Y?rotate-size=1G").settings.rotate_size, 1 << 30);
	assert_string_equal(good("file:///%Y?rotate-size=1G").target, "/%Y");
}

static void wrong_options_say_what_is_right(void **state)
{
	(void)state;
	refused("/tmp/s?", "?key=value");
	refused("/tmp/s?queue", "?key=value");
	refused("/tmp/s?queue=", "?key=value");
	refused("/tmp/s?queue=1M&", "?key=value");
	refused("/tmp/s?speed=1", "only queue, spool, spool-size, unidirectional");
	refused("tcp://h?tls-ca=/x", "there is no option 'tls-ca' here");
	refused("file:///f?unidirectional=yes", "there is no option 'unidirectional' here");
	refused("/tmp/s?queue=1", "131072 to 1073741824");
	refused("/tmp/s?queue=2G", "131072 to 1073741824");
	refused("/tmp/s?queue=99999999999999999999", "131072 to 1073741824");
	refused("/tmp/s?queue=18014398509481985K", "131072 to 1073741824");
	refused("/tmp/s?queue=1Mx", "131072 to 1073741824");
	refused("/tmp/s?queue=-1", "131072 to 1073741824");
	refused("file:///f?rotate-interval=0", "1 to 31622400 (s, m, h and d");
	refused("file:///f?rotate-interval=5M", "s, m, h and d");
	refused("file:///f?rotate-size=1", "65536");
	refused("/tmp/s?rotate-size=1M", "there is no option 'rotate-size' here");
	refused("/tmp/s?unidirectional=1", "yes or no");
	refused("tls://h?tls-verify=never", "yes or no");
}

static void wrong_ones_say_what_is_right(void **state)
{
	(void)state;
	refused("", "empty");
	refused("udp://127.0.0.1", "tcp://host");
	refused("htp://x", "unix:///path");
	refused("tcp:127.0.0.1:6000", "slashes are missing");
	refused("unix:/tmp/x", "slashes are missing");
	refused("unix://", "path is missing");
	refused("unix://@tap", "abstract socket cannot be a sink");
	refused("file://", "path is missing");
	refused("/tmp/a\nb", "control character");
	refused("tcp://", "neither a host name");
	refused("tcp://:6000", "neither a host name");
	refused("tcp://host/path", "neither a host name");
	refused("tcp://user@host", "neither a host name");
	refused("tcp://::1", "in brackets");
	refused("tcp://[::1", "tcp://[IPv6]:port");
	refused("tcp://[host]:1", "neither a host name");
	refused("tcp://[::1]6000", "from 1 to 65535");
	refused("tcp://host:", "from 1 to 65535");
	refused("tcp://host:0", "from 1 to 65535");
	refused("tcp://host:70000", "from 1 to 65535");
	refused("tcp://host:65536", "from 1 to 65535");
	refused("tcp://host:00000000000000006000", "from 1 to 65535");
	refused("tcp://host:6000x", "from 1 to 65535");
	refused("tcp://host:-1", "from 1 to 65535");
}

static void very_long_ones_are_refused(void **state)
{
	static const char *const schemes[] = {"tcp://", "tcp://[", "unix://", "file://", "/"};
	char *text = malloc(SINK_TEXT_MAX + 100);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		memset(text, 'a', SINK_TEXT_MAX + 99);
		text[SINK_TEXT_MAX + 99] = 0;
		memcpy(text, schemes[i], strlen(schemes[i]));
		refused(text, "longer than 4095 bytes");
		text[SINK_TEXT_MAX - 1] = 0;
		if (strncmp(text, "file", 4))
			refused(text, "");
		else
			assert_int_equal(good(text).kind, SINK_FILE);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_unix_sockets),
		cmocka_unit_test(a_unix_path_may_have_107_bytes),
		cmocka_unit_test(files_and_lines),
		cmocka_unit_test(tcp_takes_names_and_addresses),
		cmocka_unit_test(tls_is_written_as_tcp_is),
		cmocka_unit_test(options_follow_any_sink),
		cmocka_unit_test(wrong_options_say_what_is_right),
		cmocka_unit_test(wrong_ones_say_what_is_right),
		cmocka_unit_test(very_long_ones_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
