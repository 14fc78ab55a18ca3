#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    int fd;
    size_t received;
    double sent_at;
};

// A datagram may be lost. Its client would be silent from then on, and the load less than was asked for. One that is only
// late, on a machine that had something else to do, is sent again too.
static long send_again(struct client *clients, int count, const char *message, size_t size, double at) {
    long count_sent = 0;
    for (int i = 0; i < count; i++) {
        if (at - clients[i].sent_at < .5) continue;
        clients[i].sent_at = at;
        if (send(clients[i].fd, message, size, MSG_NOSIGNAL) < 0) die("send");
        count_sent++;
    }
    return count_sent;
}

void pingpong(int port, int count, size_t size, double seconds, int type) {
    static char buffer[1 << 16];
    struct epoll_event events[512];
    struct client *clients = calloc(count, sizeof *clients);
    char *message = malloc(size);
    long again = 0;
    int poller = epoll_create1(0);
    memset(message, 'x', size);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        clients[i].fd = connected(loopback(port), type);
        if (type == SOCK_STREAM) reset_at_close(clients[i].fd);
        epoll_ctl(poller, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    usleep(200000);  // until the server has accepted them all
    double start = now(), at = start, looked = start;
    for (int i = 0; i < count; i++) {
        clients[i].sent_at = now();
        if (send(clients[i].fd, message, size, MSG_NOSIGNAL) < 0) die("send");
    }
    while (at < start + seconds) {
        int ready = epoll_wait(poller, events, 512, 100);
        at = now();
        for (int i = 0; i < ready; i++) {
            struct client *client = &clients[events[i].data.u32];
            ssize_t received = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (received < 0 && errno == EAGAIN) continue;
            if (received < 0) die("recv");
            if (received == 0) {
                fprintf(stderr, "the server closed a connection\n");
                exit(1);
            }
            client->received += received;
            if (client->received < size) continue;
            client->received -= size;
            record(client->sent_at, at);
            client->sent_at = at;
            if (send(client->fd, message, size, MSG_NOSIGNAL) < 0) die("send");
        }
        if (type == SOCK_DGRAM && at > looked + .1) {
            again += send_again(clients, count, message, size, at);
            looked = at;
        }
    }
    report(now() - start);
    if (type == SOCK_DGRAM) printf("sent_again %ld\n", again);
}
