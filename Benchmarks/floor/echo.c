// The floor for streams: an echo server as plain as C allows. One thread, level-triggered epoll, one buffer for all
// clients. It has no limits and no deadlines, and a client that does not read holds up all others; so it shows what the
// system calls alone cost, not what a server costs.  echo PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[65536];

static int listening(int port) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        exit(1);
    }
    return listener;
}

static void accept_all(int poller, int listener) {
    int one = 1, client;
    while ((client = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(poller, EPOLL_CTL_ADD, client, &event);
    }
}

static void echo(int client) {
    ssize_t received = recv(client, buffer, sizeof buffer, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received <= 0) {
        close(client);
        return;
    }
    for (ssize_t done = 0; done < received;) {
        ssize_t sent = send(client, buffer + done, received - done, MSG_NOSIGNAL);
        if (sent >= 0) {
            done += sent;
        } else if (errno == EAGAIN) {
            struct pollfd room = {client, POLLOUT, 0};
            poll(&room, 1, -1);
        } else {
            close(client);
            return;
        }
    }
}

int main(int count, char **arguments) {
    if (count != 2) return 2;
    signal(SIGPIPE, SIG_IGN);
    int listener = listening(atoi(arguments[1])), poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[512];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poller, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) accept_all(poller, listener);
            else echo(events[i].data.fd);
        }
    }
}
