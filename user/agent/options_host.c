/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * --check-config's look at this host: what is named and is not there keeps the tap from starting.
 * Nothing is made or changed. What who asks may not look at is no fault: the tap may have more
 * rights.
 */
#include "agent/options_table.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/confine.h"

static int status_of(const char *path, struct stat *ret)
{
	return stat(path, ret) ? -errno : 0;
}

/* Whether a file may be made there: what is there already that is no file, or its folder. */
static int check_written(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX] = ".";
	struct stat status;

	if (strlen(path) >= sizeof(folder))
		return -ENAMETOOLONG;
	if (!status_of(path, &status) && !S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : 0;
	if (slash)
		memcpy(folder, path, (size_t)(slash - path) + 1);
	if (status_of(folder, &status))
		return status_of(folder, &status);
	if (!S_ISDIR(status.st_mode))
		return -ENOTDIR;
	return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) ? -errno : 0;
}

static int check_read(const char *path)
{
	return faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) ? -errno : 0;
}

static bool is_fault(int err)
{
	return err && err != -EACCES && err != -EPERM;
}

static void check_option_file(struct option_parsing *p, const char *name, const char *path)
{
	int err = path ? check_read(path) : 0;

	if (is_fault(err))
		option_fail_at(p, option_find(name), "%.300s: %s", path, strerror(-err));
}

static void fail_sink(struct option_parsing *p, size_t i, const char *what, int err)
{
	const struct option_place *place = &p->sinks[i];

	option_fail(p, place, place->file ? "sinks" : NULL, "sink '%.200s': %.300s: %s",
		p->options->sinks[i].text, what, strerror(-err));
}

static void check_sink_read(struct option_parsing *p, size_t i, const char *path)
{
	int err = path ? check_read(path) : 0;

	if (is_fault(err))
		fail_sink(p, i, path, err);
}

/* As the file's name would be now. */
static void check_sink_file(struct option_parsing *p, size_t i)
{
	const char *path = p->options->sinks[i].target;
	const time_t now = time(NULL);
	char name[PATH_MAX];
	struct tm local;
	int err;

	if (strchr(path, '%') && localtime_r(&now, &local) &&
		strftime(name, sizeof(name), path, &local))
		path = name;
	err = check_written(path);
	if (is_fault(err))
		fail_sink(p, i, path, err);
}

static void check_sink(struct option_parsing *p, size_t i)
{
	const struct sink_url *url = &p->options->sinks[i];
	const struct sink_settings *s = &url->settings;

	if (url->kind == SINK_FILE)
		check_sink_file(p, i);
	if (url->kind != SINK_TLS)
		return;
	if (s->tls_verify != SINK_NO)
		check_sink_read(p, i, sink_setting(s, s->tls_ca, NULL));
	check_sink_read(p, i, sink_setting(s, s->tls_cert, NULL));
	check_sink_read(p, i, sink_setting(s, s->tls_key, NULL));
}

void option_check_host(struct option_parsing *p)
{
	const struct options *o = p->options;
	int err = o->ledger ? check_written(o->ledger) : 0;

	if (o->user && o->confine != CONFINE_OFF && !confine_user_exists(o->user))
		option_fail_at(p, option_find("user"), "%.100s: there is no such user", o->user);
	if (is_fault(err))
		option_fail_at(p, option_find("ledger"), "%.300s: %s", o->ledger, strerror(-err));
	check_option_file(p, "tls-ca", o->tls.no_verify ? NULL : o->tls.ca);
	check_option_file(p, "tls-cert", o->tls.cert);
	check_option_file(p, "tls-key", o->tls.key);
	for (size_t i = 0; i < o->sink_count; i++)
		check_sink(p, i);
}
