// The floor for datagrams: one thread, which receives and sends up to 64 by one call, and blocks. It knows no sessions
// and looks at no address; so it shows what the system calls alone cost.  datagrams PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH 64
#define SIZE 65536

int main(int count, char **arguments) {
    if (count != 2) return 2;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    struct sockaddr_in from[BATCH], address = {
        .sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (void *)&address, sizeof address)) {
        perror("bind");
        return 1;
    }
    char *bytes = malloc((size_t)BATCH * SIZE);
    struct iovec parts[BATCH];
    struct mmsghdr batch[BATCH] = {0};
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){bytes + (size_t)i * SIZE, SIZE};
            batch[i].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &parts[i], .msg_iovlen = 1};
        }
        int received = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, 0);
        for (int i = 0; i < received; i++) parts[i].iov_len = batch[i].msg_len;
        for (int done = 0; done < received;) {
            int sent = sendmmsg(fd, batch + done, received - done, 0);
            done += sent > 0 ? sent : 1;  // one that cannot be sent is lost, as datagrams may be
        }
    }
}
