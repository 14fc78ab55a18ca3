internal import Loops
internal import SocketCore
internal import Sockets

/// Answers the datagrams of a socket one after another, on a thread of its own, until it is stopped.
///
/// There is no connection that could have a thread to itself; nobody waits for another, because an answer does not: one for
/// which a Unix client has no room is lost, since he would else hold up all others.
func answerLoop(_ server: Server, _ socket: DatagramSocket, _ settings: Serve.Settings, _ left: Countdown) {
    let isStarted = Threads.start("datagrams") {
        let service = server.service.type
        let admits = server.admission(settings)
        var failure: SocketError?
        while failure == nil, !socket.isClosed {
            do throws(SocketError) {
                let datagram = try socket.receive()
                guard admits?(datagram.sender) != false, !socket.isOwn(datagram) else { continue }
                let sender = server.isTold(settings) ? server.sender(datagram.sender, of: socket, settings) : nil
                sender?.account.note(received: datagram.bytes)
                sender?.shown?.showBlocking(whole: datagram.bytes)
                let isLocal = datagram.sender.isLoopback
                if let answer = service.answer(to: datagram.bytes, fromThisMachine: isLocal) {
                    do throws(SocketError) {
                        try socket.sendAtOnce(answer, answering: datagram)
                        sender?.account.note(sent: answer.count)
                    } catch {
                        // It is this sender's only.
                        sender?.account.closed(error)
                    }
                }
                sender?.account.closed()
            } catch {
                switch error.cause {
                case .closed: return left.end(nil)
                case .system(let errno) where errno.isOfASentDatagram: continue
                // It passes.
                case .system(let errno) where errno.isShortage:
                    Bell.pauseThread(for: .milliseconds(5))
                default: failure = error
                }
            }
        }
        left.end(failure)
    }
    if !isStarted { left.end(SocketError(.receive, .system(.resourceTemporarilyUnavailable))) }
}
