/*
 * Preloaded into QEMU: creates a userfaultfd for QEMU's address space and hands it to the agent, who sees with it
 * which pages of guest RAM were written. All the rest (handshake, registering, write-protecting) is done by the
 * agent: these ioctls act on the address space of the process that created the descriptor.
 *
 * With COLO_UFFD_SOCK unset, nothing happens. Otherwise it names a unix stream socket, and one message goes there: an
 * errno as int32_t in native order and, if that is 0, the descriptor (SCM_RIGHTS). The program then goes on in any
 * case; that a message never came is for the agent to notice. Children of the program do not inherit the shim.
 *
 * userfaultfd(2), unix(7); Linux >= 5.11 for UFFD_USER_MODE_ONLY, which needs no privilege.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* An agent that listens but does not accept must not keep the VM from starting. */
static const struct timeval SEND_TIMEOUT = {.tv_sec = 5};

/* Writes are let through by the kernel itself, so that faults of kernel code (KVM, vhost) need no handler either. */
static int create(void)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (fd < 0 && errno == EINVAL)
        fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    return fd;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, length);

    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return -1;
    /* For connect as well: it waits while the listener's backlog is full. */
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &SEND_TIMEOUT, sizeof SEND_TIMEOUT);
    if (connect(sock, (struct sockaddr *)&address, sizeof address) != 0) {
        close(sock);
        return -1;
    }
    return sock;
}

static void report(int sock, int fd, int32_t error)
{
    union {
        struct cmsghdr header; /* for its alignment */
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec body = {.iov_base = &error, .iov_len = sizeof error};
    struct msghdr message = {.msg_iov = &body, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    while (sendmsg(sock, &message, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

__attribute__((constructor)) static void hand_over(void)
{
    const char *path = getenv("COLO_UFFD_SOCK");
    if (!path)
        return;

    int before = errno;
    int sock = connect_to(path);
    if (sock >= 0) {
        int fd = create();
        report(sock, fd, fd < 0 ? errno : 0);
        if (fd >= 0)
            close(fd);
        close(sock);
    }
    unsetenv("LD_PRELOAD");
    unsetenv("COLO_UFFD_SOCK");
    errno = before;
}
