/*
 * A kernel that lies, to be loaded before the C library: what a bug would do to a thread is done to it from below.
 *
 * Bytes that contain "lie: length" are said to be far more than there was room for, and whoever believes it fails.
 * After "lie: poll" the thread that read it can wait for no event any more.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
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

int epoll_wait(int fd, struct epoll_event *events, int most, int time)
{
	int (*honest)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");
	if (poll_is_broken) {
		errno = EBADF;
		return -1;
	}
	return honest(fd, events, most, time);
}
