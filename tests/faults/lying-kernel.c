/*
 * A kernel that lies, to be loaded before the C library: what a bug would do to a thread is done to it from below.
 *
 * Bytes that contain "lie: length" are said to be far more than there was room for, and whoever believes it fails.
 * After "lie: poll" the thread that read it can wait for no event any more.
 *
 * And slow: to find a file called "slow-look-up…", or to read one called "slow-read…", takes until there is a file
 * "released" beside it. From when on it is waited for, there is a file "asked".
 *
 * Its clock stands at LYING_CLOCK, in seconds since 1970, if that is set.
 * SSE_PIPE_TEST_SLOW in the environment has listen and unlink take 50 ms before they begin, as on a busy machine.
 * SSE_PIPE_TEST_PWRITE="ERRNO N" in the environment has each Nth write to a segment of a store fail with this error when
 * half of it is written, and each other one come short.
 * SSE_PIPE_TEST_ACCEPT="ERRNO TIMES" in the environment has accept fail that often, with this error.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static __thread int poll_is_broken;

static ssize_t lie(const char *bytes, ssize_t n)
{
	if (n <= 0)
		return n;
	if (memmem(bytes, n, "lie: poll", 9))
		poll_is_broken = 1;
	return memmem(bytes, n, "lie: length", 11) ? 1 << 30 : n;
}

ssize_t recv(int fd, void *bytes, size_t room, int flags)
{
	ssize_t (*honest)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	return lie(bytes, honest(fd, bytes, room, flags));
}

ssize_t read(int fd, void *bytes, size_t room)
{
	ssize_t (*honest)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
	return lie(bytes, honest(fd, bytes, room));
}

static void wait_for_disk(const char *path, const char *what)
{
	const char *slash = strrchr(path, '/');
	char beside[PATH_MAX + 16];
	if (!slash || strncmp(slash + 1, what, strlen(what)) != 0)
		return;
	int folder = (int)(slash - path);
	snprintf(beside, sizeof beside, "%.*s/asked", folder, path);
	close(creat(beside, 0666));
	snprintf(beside, sizeof beside, "%.*s/released", folder, path);
	while (access(beside, F_OK) != 0)
		usleep(1000);
}

char *realpath(const char *path, char *resolved)
{
	char *(*honest)(const char *, char *) = dlsym(RTLD_NEXT, "realpath");
	wait_for_disk(path, "slow-look-up");
	return honest(path, resolved);
}

ssize_t pread64(int fd, void *bytes, size_t room, off64_t at)
{
	ssize_t (*honest)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");
	char link[64], path[PATH_MAX + 1] = "";
	int error;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (readlink(link, path, PATH_MAX) > 0)
		wait_for_disk(path, "slow-read");
	const char *wanted = getenv("SSE_PIPE_TEST_PREAD");
	long bad;
	if (wanted && sscanf(wanted, "%d %ld", &error, &bad) == 2 && strstr(path, ".chunks") && at <= bad && bad < at + (off64_t)room) {
		errno = error;
		return -1;
	}
	return honest(fd, bytes, room, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	ssize_t (*honest)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
	static long writes; /* one thread writes */
	const char *wanted = getenv("SSE_PIPE_TEST_PWRITE");
	char link[64], path[PATH_MAX + 1] = "";
	int error;
	long nth;
	if (!wanted || sscanf(wanted, "%d %ld", &error, &nth) != 2)
		return honest(fd, bytes, n, at);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (readlink(link, path, PATH_MAX) <= 0 || (!strstr(path, ".chunks") && !strstr(path, ".index")))
		return honest(fd, bytes, n, at);
	ssize_t half = honest(fd, bytes, (n + 1) / 2, at);
	if (++writes % nth == 0) {
		errno = error;
		return -1;
	}
	return half;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int (*honest)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	const char *lying = getenv("LYING_CLOCK");
	if (clock != CLOCK_REALTIME || !lying)
		return honest(clock, time);
	time->tv_sec = atoll(lying);
	time->tv_nsec = 0;
	return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int time)
{
	int (*honest)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");
	if (poll_is_broken) {
		errno = EBADF;
		return -1;
	}
	return honest(fd, events, most, time);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	int (*honest)(int, struct sockaddr *, socklen_t *, int) = dlsym(RTLD_NEXT, "accept4");
	static long failed; /* one thread accepts */
	const char *wanted = getenv("SSE_PIPE_TEST_ACCEPT");
	int error;
	long times;
	if (wanted && sscanf(wanted, "%d %ld", &error, &times) == 2 && failed < times) {
		failed++;
		errno = error;
		return -1;
	}
	return honest(fd, address, length, flags);
}

static void be_slow(void)
{
	if (getenv("SSE_PIPE_TEST_SLOW"))
		usleep(50000);
}

int listen(int fd, int backlog)
{
	int (*honest)(int, int) = dlsym(RTLD_NEXT, "listen");
	be_slow();
	return honest(fd, backlog);
}

int unlink(const char *path)
{
	int (*honest)(const char *) = dlsym(RTLD_NEXT, "unlink");
	be_slow();
	return honest(path);
}
