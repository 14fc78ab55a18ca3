/// Starts a command that gets a listening socket as its descriptor 3, as from a service manager. The socket's endpoint is told
/// on standard error, and its name is `web`.
let listeningLauncher = [
    "python3", "-c",
    """
    import os, socket, sys
    s = socket.create_server(('127.0.0.1', 0))
    print('tcp://127.0.0.1:%d' % s.getsockname()[1], file=sys.stderr, flush=True)
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')
    os.execvp(sys.argv[1], sys.argv[1:])
    """,
]

/// Starts a command that gets a connection to a port as its descriptor 3, under the name `web`, as from a super-server.
func connectedLauncher(to port: UInt16) -> [String] {
    [
        "python3", "-c",
        """
        import os, socket, sys
        s = socket.create_connection(('127.0.0.1', \(port)))
        os.dup2(s.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')
        os.execvp(sys.argv[1], sys.argv[1:])
        """,
    ]
}

/// Starts a command that gets a bound datagram socket as its descriptor 3, under the name `web`.
let datagramLauncher = [
    "python3", "-c",
    """
    import os, socket, sys
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('127.0.0.1', 0))
    os.dup2(s.fileno(), 3)
    os.set_inheritable(3, True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='web')
    os.execvp(sys.argv[1], sys.argv[1:])
    """,
]
