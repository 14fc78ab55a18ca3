internal import SocketCore
internal import Sockets
internal import struct SystemPackage.Errno

extension SocketError {
    /// What the user can do about it.
    var advice: String? {
        let isUnix = (remote ?? local)?.port == nil
        switch (operation, cause) {
        case (.bind, .system(.invalidArgument)) where lacksInterface,
            (.connect, .system(.invalidArgument)) where lacksInterface:
            return text(
                "an address of one link needs its interface: [fe80::1%eth0]:8520",
                "链路本地地址需要它的接口：[fe80::1%eth0]:8520")
        case (.bind, .system(.operationNotSupportedByDevice)) where isOfGroup,
            (.connect, .system(.networkUnreachable)) where isOfGroup:
            return text(
                "the system has no route to the group: name the interface, as in ?interface=eth0",
                "系统没有到这个组的路由：请写明网络接口，例如 ?interface=eth0")
        case (.connect, .system(.permissionDenied)) where isOfDatagrams && !isUnix,
            (.send, .system(.permissionDenied)) where isOfDatagrams && !isUnix:
            return text(
                "a broadcast address needs ?broadcast=true; any other is forbidden by a firewall, here or on the way",
                "广播地址需要 ?broadcast=true；其他地址则是被防火墙禁止的，可能在本机，也可能在途中")
        case (.bind, .system(.notSocket)), (.bind, .system(.isDirectory)):
            return text(
                "something that is no socket is at that path: choose another path", "那个路径上的不是套接字：请换一个路径")
        case (.bind, .system(.addressInUse)), (.listen, .system(.addressInUse)):
            return isUnix
                ? text(
                    "something else is at that path, or a server answers there: choose another path",
                    "那个路径上已有别的东西，或者有服务端在应答：请换一个路径")
                : text(
                    "another program listens there: choose another port, or port 0 for a free one",
                    "别的程序正在那里监听：请换一个端口，或者用端口 0 取一个空闲的")
        case (.bind, .system(.permissionDenied)):
            return isUnix
                ? text("choose a path in a directory of yours", "请选择自己目录里的路径")
                : text("a port below 1024 is root's: choose a higher one", "1024 以下的端口属于 root：请选择更大的")
        case (.bind, .system(.notPermitted)) where isUnix:
            return text(
                "everybody may change the files of that directory: choose one that only you can write to, or chmod +t it",
                "那个目录里的文件谁都可以改动：请选择只有自己能写的目录，或者对它 chmod +t")
        case (.bind, .system(.addressNotAvailable)):
            return text(
                "this machine has no such address: choose one of its own, or 127.0.0.1",
                "这台机器没有这个地址：请选择它自己的地址，或者 127.0.0.1")
        case (.bind, .system(.noSuchFileOrDirectory)), (.bind, .system(.notDirectory)):
            return text("the directory does not exist: make it first", "目录不存在：请先创建它")
        case (.connect, .system(.connectionRefused)) where isNoSocket:
            return text("what is at that path is no socket: check the path", "那个路径上的不是套接字：请检查路径")
        case (.connect, .system(.connectionRefused)):
            return isUnix
                ? text("a server was there and is gone: start it first", "那里曾有服务端，现在不在了：请先启动它")
                : text("nothing listens there: check the port, or start the server first", "没有程序在那里监听：请检查端口，或者先启动服务端")
        case (.connect, .system(.noSuchFileOrDirectory)):
            return text(
                "no server has made this path: check it, or start the server first", "没有服务端创建过这个路径：请检查它，或者先启动服务端")
        case (.connect, .system(.permissionDenied)):
            return isUnix
                ? text(
                    "the socket belongs to another user: ask for access, or connect as that user",
                    "这个套接字属于别的用户：请申请权限，或者以那个用户连接")
                : text(
                    "a firewall forbids it, here or on the way: check the address, or ask who runs it",
                    "防火墙不允许，可能在本机，也可能在途中：请检查地址，或者询问管理者")
        case (.connect, .system(.addressNotAvailable)):
            return text(
                "wait until connections have ended, come from another address with --source, or check this machine's network",
                "请等到一些连接结束，或者用 --source 换一个源地址，或者检查这台机器的网络")
        case (.receive, .system(.connectionRefused)), (.send, .system(.connectionRefused)):
            return text(
                "nobody receives datagrams there: check the port, or start the server first",
                "那里没有程序接收数据报：请检查端口，或者先启动服务端")
        case (.send, .system(.messageTooLong)):
            return text(
                "UDP carries 65507 bytes at the most, over IPv4: send less at a time",
                "UDP 一次最多 65507 字节（IPv4）：请分开发送")
        case (.connect, .system(.networkUnreachable)), (.connect, .system(.noRouteToHost)):
            return text("check the address and this machine's network", "请检查地址和这台机器的网络")
        case (.connect, .timedOut), (.connect, .system(.timedOut)), (.resolve, .timedOut):
            return text("check the address, or give it longer with --timeout", "请检查地址，或者用 --timeout 多给一些时间")
        case (.accept, .timedOut):
            return text(
                "nobody connected: check where the client connects to, or give it longer with --timeout",
                "没有客户端连接：请检查客户端连接到哪里，或者用 --timeout 多给一些时间")
        case (.receive, .timedOut) where !isOfDatagrams, (.send, .timedOut) where !isOfDatagrams:
            return text(
                "nothing came or went for that long: give it longer with --idle-timeout",
                "这么久没有任何收发：请用 --idle-timeout 多给一些时间")
        case (.receive, .timedOut):
            return text(
                "nobody sent a datagram: check where the sender sends to, or give it longer with --timeout",
                "没有人发来数据报：请检查发送者发往哪里，或者用 --timeout 多给一些时间")
        case (.receive, .system(.timedOut)), (.send, .system(.timedOut)):
            return text(
                "the peer, or the network on the way to it, is gone without a word", "对方，或者途中的网络，没有告知就消失了")
        case (.run, .system(.noSuchFileOrDirectory)):
            return text(
                "no program has this name, or what its first line names: check it, or write its path",
                "没有叫这个名字的程序，或者它第一行指定的程序不存在：请检查，或者写出路径")
        case (.run, .system(.permissionDenied)):
            return text("it is no program that you may run: check its mode", "它不是你可以运行的程序：请检查它的权限")
        case (.adopt, .system(.badFileDescriptor)):
            return text(
                "this process was started without it: pass it on, as a shell does with N<FILE",
                "启动这个进程时没有交来它：请传入，例如在 shell 里写 N<文件")
        case (.loop, .system(.tooManyOpenFiles)):
            return text("lower --loops, or raise the limit with ulimit -n", "请调低 --loops，或者用 ulimit -n 提高限制")
        case (.connect, .system(.tooManyOpenFiles)), (.bind, .system(.tooManyOpenFiles)):
            return text("raise the limit with ulimit -n", "请用 ulimit -n 提高限制")
        case (_, .system(.tooManyOpenFiles)), (_, .system(.tooManyOpenFilesInSystem)):
            return text(
                "raise the limit with ulimit -n, or lower --max-clients", "请用 ulimit -n 提高限制，或者调低 --max-clients")
        default:
            return nil
        }
    }

    /// Whether it is an IPv6 address of one link, and does not say of which.
    private var lacksInterface: Bool {
        guard let address = remote ?? local, case .ipv6(_, _, zone: 0) = address else { return false }
        return address.isOfOneLink
    }

    private var isOfGroup: Bool { (remote ?? local)?.isMulticast == true }

    /// Whether there is something else at the path.
    private var isNoSocket: Bool {
        guard case .unix(let path)? = remote, path.kind == .path else { return false }
        return (try? System.status(path, followsLinks: true))?.isSocket == false
    }

    private var isOfDatagrams: Bool {
        guard let target else { return false }
        return target.hasPrefix("udp ") || target.hasPrefix("unix-dgram ")
    }
}
