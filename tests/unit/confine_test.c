// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine/confine.h"
#include "confine/privilege.h"
#include "confine/threads.h"

// What cannot be undone is done in a child. It exits with 0 if all was as expected, and with the
// number of the line if not.
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDERR_FILENO, "line %d: %s: %s\n", __LINE__, #condition,          \
				strerror(errno));                                                  \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

enum { OUTPUT_SIZE = 4096, EXPECTATIONS_MET = 42 };

// Runs it in a child; returns how that ended, as waitpid(2) says, and what it wrote to stderr.
static int child_run(void (*function)(const void *), const void *arg, char output[OUTPUT_SIZE])
{
	int status, ends[2];
	size_t len = 0;
	ssize_t n;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		function(arg);
		_exit(EXPECTATIONS_MET);
	}
	assert_true(child > 0);
	close(ends[1]);
	while ((n = read(ends[0], output + len, OUTPUT_SIZE - 1 - len)) > 0)
		len += (size_t)n;
	output[len] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void check_child(void (*function)(const void *), const void *arg)
{
	char output[OUTPUT_SIZE];
	int status = child_run(function, arg, output);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != EXPECTATIONS_MET)
		fail_msg("status %#x: %s", status, output);
}

static void confine_for(const char *device)
{
	char why[512] = "";
	EXPECT(confine(&device, 1, why, sizeof(why)) == 0);
}

// --- threads that were there before

static int go[2]; // a pipe

static void *sleep_and_run(void *function)
{
	char octet;
	EXPECT(read(go[0], &octet, 1) == 1);
	((void (*)(void))(uintptr_t)function)();
	return NULL;
}

static pthread_t thread_start(void (*function)(void))
{
	pthread_t thread;
	EXPECT(pipe(go) == 0);
	EXPECT(pthread_create(&thread, NULL, sleep_and_run, (void *)(uintptr_t)function) == 0);
	return thread;
}

static void thread_go(pthread_t thread)
{
	EXPECT(write(go[1], "", 1) == 1);
	EXPECT(pthread_join(thread, NULL) == 0);
}

// --- what is forbidden

static void call_execve(void)
{
	execl("/bin/true", "true", NULL);
}

// Not fork(): that of glibc 2.41 blocks all signals first, and a SIGSYS that is blocked ends the process untold.
static void call_clone(void)
{
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
		_exit(0);
}

static void call_socket(void)
{
	socket(AF_INET, SOCK_DGRAM, 0);
}

static void call_packet_socket(void)
{
	socket(AF_PACKET, SOCK_RAW, 0);
}

static void call_ptrace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void call_kill(void)
{
	kill(getppid(), 0);
}

static void call_tgkill_of_another(void)
{
	syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void call_mmap_executable(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void call_mprotect_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static void call_prctl_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void call_setrlimit(void)
{
	struct rlimit limit = {0, 0};
	setrlimit(RLIMIT_CORE, &limit);
}

static void call_setuid(void)
{
	syscall(SYS_setuid, 0);
}

static void call_unshare(void)
{
	unshare(CLONE_NEWUSER);
}

static void call_bpf(void)
{
	syscall(SYS_bpf, 0, NULL, 0);
}

static void call_listen(void)
{
	listen(go[0], 1);
}

static void call_ioctl_tiocsti(void)
{
	syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

static const struct {
	const char *name;
	void (*function)(void);
} forbidden[] = {
	{"execve", call_execve},
	{"clone", call_clone},
	{"socket", call_socket},
	{"socket", call_packet_socket},
	{"ptrace", call_ptrace},
	{"kill", call_kill},
	{"tgkill", call_tgkill_of_another},
	{"mmap", call_mmap_executable},
	{"mprotect", call_mprotect_executable},
	{"prctl", call_prctl_dumpable},
	{"prlimit64", call_setrlimit},
	{"setuid", call_setuid},
	{"unshare", call_unshare},
	{"bpf", call_bpf},
	{"listen", call_listen},
	{"ioctl", call_ioctl_tiocsti},
};

static void confined_then(const void *function)
{
	confine_for("net_af_packet0,iface=eth1");
	((void (*)(void))(uintptr_t)function)();
}

static void confined_then_in_old_thread(const void *function)
{
	pthread_t thread = thread_start((void (*)(void))(uintptr_t)function);
	confine_for("net_af_packet0,iface=eth1");
	thread_go(thread);
}

static void check_killed(void (*how)(const void *), unsigned i)
{
	char output[OUTPUT_SIZE], expected[64];
	int status = child_run(how, (const void *)(uintptr_t)forbidden[i].function, output);
	snprintf(expected, sizeof(expected),
		"error call_forbidden call=%s number=", forbidden[i].name);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS || !strstr(output, expected) ||
		strchr(output, '\n') != output + strlen(output) - 1)
		fail_msg("%s: status %#x: %s", forbidden[i].name, status, output);
}

static void forbidden_call_ends_the_process(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		check_killed(confined_then, i);
}

static void it_does_so_in_threads_that_were_there(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		check_killed(confined_then_in_old_thread, i);
}

// --- what goes on

static _Atomic int n_runs;

static void count_run(void)
{
	n_runs++;
}

static void ordinary_work(const void *unused)
{
	struct sockaddr_un nobody = {.sun_family = AF_UNIX, .sun_path = "/nonexistent"};
	char octet;
	(void)unused;
	confine_for("net_ring0");
	int file = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	EXPECT(file >= 0 && read(file, &octet, 1) == 1 && octet == 0 && close(file) == 0);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(page != MAP_FAILED && munmap(page, 4096) == 0);
	pthread_t thread = thread_start(count_run);
	thread_go(thread);
	EXPECT(n_runs == 1);
	thread = thread_start(count_run);
	EXPECT(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
	int unix_socket = socket(AF_UNIX, SOCK_DGRAM, 0);
	EXPECT(unix_socket >= 0);
	EXPECT(sendto(unix_socket, "", 0, 0, (struct sockaddr *)&nobody, sizeof(nobody)) < 0);
	EXPECT(errno == ENOENT);
	EXPECT(connect(unix_socket, (struct sockaddr *)&nobody, sizeof(nobody)) < 0);
	EXPECT(errno == EPERM); // syslog(3) takes it
	struct rlimit limit;
	EXPECT(getrlimit(RLIMIT_CORE, &limit) == 0);
	EXPECT(raise(0) == 0);
}

static void ordinary_work_goes_on(void **state)
{
	(void)state;
	check_child(ordinary_work, NULL);
}

static void listen_unix(const void *device)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	confine_for(device);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	EXPECT(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)) == 0);
	EXPECT(listen(fd, 1) == 0);
}

static void try_bpf(const void *device)
{
	confine_for(device);
	EXPECT(syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM);
	EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EPERM);
}

static void ask_links(const void *device)
{
	confine_for(device);
	EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
	EXPECT(syscall(SYS_ioctl, -1, 0x12345678, NULL) < 0 && errno == EBADF);
}

static void drivers_may_more(void **state)
{
	(void)state;
	check_child(listen_unix, "net_memif0,role=server");
	check_child(try_bpf, "net_af_xdp0,iface=eth1");
	check_child(ask_links, "net_tap0");
	check_child(ask_links, "0000:03:00.0");
}

// --- capabilities and users

// The number that stands behind a name in /proc/self/task/TID/status, in that base.
static uint64_t status_number(const char *tid, const char *name, int base)
{
	char path[64], text[4096];
	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	int fd = open(path, O_RDONLY);
	EXPECT(fd >= 0);
	ssize_t len = read(fd, text, sizeof(text) - 1);
	EXPECT(len > 0 && close(fd) == 0);
	text[len] = '\0';
	const char *found = strstr(text, name);
	EXPECT(found);
	return strtoull(found + strlen(name), NULL, base);
}

static void every_thread(void (*check)(const char *tid, const void *arg), const void *arg)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned n = 0;
	EXPECT(tasks);
	for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
		if (task->d_name[0] == '.')
			continue;
		check(task->d_name, arg);
		n++;
	}
	closedir(tasks);
	EXPECT(n == 2);
}

static void thread_is_confined(const char *tid, const void *unused)
{
	(void)unused;
	EXPECT(status_number(tid, "CapInh:", 16) == 0);
	EXPECT(status_number(tid, "CapPrm:", 16) == 0);
	EXPECT(status_number(tid, "CapEff:", 16) == 0);
	EXPECT(status_number(tid, "CapBnd:", 16) == 0);
	EXPECT(status_number(tid, "CapAmb:", 16) == 0);
	EXPECT(status_number(tid, "NoNewPrivs:", 10) == 1);
	EXPECT(status_number(tid, "Seccomp:", 10) == 2);
}

static void no_privilege_is_left(const void *unused)
{
	(void)unused;
	thread_start(count_run);
	confine_for("net_af_packet0,iface=eth1");
	every_thread(thread_is_confined, NULL);
}

static void thread_is_users(const char *tid, const void *arg)
{
	const struct passwd *user = arg;
	bool is_main = strtol(tid, NULL, 10) == getpid();
	uint64_t left = is_main ? 1 << 14 /* IPC_LOCK */ | 1 << 10 /* NET_BIND_SERVICE */ : 0;
	EXPECT(status_number(tid, "Uid:", 10) == user->pw_uid);
	EXPECT(status_number(tid, "Gid:", 10) == user->pw_gid);
	EXPECT(status_number(tid, "CapPrm:", 16) == left);
	EXPECT(status_number(tid, "CapEff:", 16) == left);
}

static void another_user(const void *unused)
{
	char why[512] = "";
	const struct passwd *nobody = getpwnam("nobody");
	(void)unused;
	thread_start(count_run);
	EXPECT(nobody);
	EXPECT(privilege_user_set("nobody", NULL, why, sizeof(why)) == 0);
	every_thread(thread_is_users, nobody);
	// It is that already: nothing to do.
	EXPECT(privilege_user_set("nobody", NULL, why, sizeof(why)) == 0);
	EXPECT(privilege_user_set("root", NULL, why, sizeof(why)) == -EPERM);
	EXPECT(strstr(why, "root"));
	confine_for("net_af_packet0,iface=eth1");
	every_thread(thread_is_confined, NULL);
}

static void nobody_known(const void *unused)
{
	char why[512];
	(void)unused;
	EXPECT(privilege_user_set("no-such-user", NULL, why, sizeof(why)) == -ENOENT);
	EXPECT(strstr(why, "no-such-user"));
	EXPECT(privilege_user_set("nobody", "no-such-group", why, sizeof(why)) == -ENOENT);
	EXPECT(strstr(why, "no-such-group"));
	EXPECT(geteuid() == 0);
}

static void directory_for_nobody(const void *parent)
{
	const struct passwd *nobody = getpwnam("nobody");
	char why[512], path[128];
	struct stat st;
	snprintf(path, sizeof(path), "%s/made", (const char *)parent);
	EXPECT(privilege_directory_make(path, 0700, "nobody", NULL, why, sizeof(why)) == 0);
	EXPECT(stat(path, &st) == 0 && st.st_uid == nobody->pw_uid && st.st_gid == nobody->pw_gid);
	EXPECT((st.st_mode & 07777) == 0700);
	// What is there is left alone: it may be another's.
	EXPECT(chown(path, 0, 0) == 0);
	EXPECT(privilege_directory_make(path, 0755, "nobody", NULL, why, sizeof(why)) == 0);
	EXPECT(stat(path, &st) == 0 && st.st_uid == 0 && (st.st_mode & 07777) == 0700);
	snprintf(path, sizeof(path), "%s/none/made", (const char *)parent);
	EXPECT(privilege_directory_make(path, 0755, "nobody", NULL, why, sizeof(why)) == -ENOENT);
	EXPECT(strstr(why, path));
}

static void privileges_end(void **state)
{
	char parent[] = "/tmp/mcxrelay-confine-XXXXXX", made[64];
	(void)state;
	if (geteuid() != 0)
		skip();
	check_child(no_privilege_is_left, NULL);
	check_child(another_user, NULL);
	check_child(nobody_known, NULL);
	assert_non_null(mkdtemp(parent));
	check_child(directory_for_nobody, parent);
	snprintf(made, sizeof(made), "%s/made", parent);
	assert_int_equal(rmdir(made) | rmdir(parent), 0);
}

// --- threads

static int run_fails(void)
{
	return EDOM;
}

static int run_counts(void)
{
	n_runs++;
	return 0;
}

static void deaf_thread(void)
{
}

static void run_in_threads(const void *unused)
{
	char why[512] = "";
	sigset_t all;
	(void)unused;
	thread_start(deaf_thread);
	EXPECT(threads_run(run_counts, why, sizeof(why)) == 0 && n_runs == 2);
	EXPECT(threads_run(run_fails, why, sizeof(why)) == -EDOM && why[0]);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	thread_start(deaf_thread); // it inherits the mask
	EXPECT(threads_run(run_counts, why, sizeof(why)) == -ETIMEDOUT);
	EXPECT(strstr(why, "does not answer"));
}

static void a_function_runs_in_every_thread(void **state)
{
	(void)state;
	check_child(run_in_threads, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_call_ends_the_process),
		cmocka_unit_test(it_does_so_in_threads_that_were_there),
		cmocka_unit_test(ordinary_work_goes_on),
		cmocka_unit_test(drivers_may_more),
		cmocka_unit_test(privileges_end),
		cmocka_unit_test(a_function_runs_in_every_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
