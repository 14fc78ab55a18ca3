// The floor for streams: an echo server as plain as C allows. One thread, level-triggered epoll, one buffer for all
// clients. It has no limits and no deadlines, and a client that does not read holds up all others; so it shows what the
// system calls alone cost, not what a server costs. With LOOPS there are so many threads, each with a poller of its own,
// and the clients go to one after another.  echo PORT [LOOPS]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static __thread char buffer[65536];
static int listener, pollers[64], loops = 1;

static int listen_on(int port) {
    int one = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (void *)&address, sizeof address) || listen(listening, 4096)) {
        perror("listen");
        exit(1);
    }
    return listening;
}

static void accept_all(void) {
    static int next;
    int one = 1, client;
    while ((client = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(pollers[next++ % loops], EPOLL_CTL_ADD, client, &event);
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

static void *serve(void *poller) {
    struct epoll_event events[512];
    for (;;) {
        int ready = epoll_wait(*(int *)poller, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == listener) accept_all();
            else echo(events[i].data.fd);
        }
    }
    return NULL;
}

int main(int count, char **arguments) {
    if (count > 2) loops = atoi(arguments[2]);
    if (count < 2 || count > 3 || loops < 1 || loops > 64) return 2;
    signal(SIGPIPE, SIG_IGN);
    listener = listen_on(atoi(arguments[1]));
    for (int i = 0; i < loops; i++) pollers[i] = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(pollers[0], EPOLL_CTL_ADD, listener, &event);
    for (int i = 1; i < loops; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, &pollers[i])) return 1;
    }
    serve(&pollers[0]);
}
