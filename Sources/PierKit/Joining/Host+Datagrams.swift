internal import Loops
internal import SocketCore
internal import Sockets

extension Host {
    /// Joins the first sender, or one after another.
    func joinSenders(of socket: DatagramSocket, _ input: StandardInput) throws(Failure) {
        let place = "\(socket.endpoint)"
        if let timeout { socket.receiveDeadline = .after(timeout) }
        repeat {
            guard let first = try nextDatagram(of: socket) else { return }
            let name = first.sender == .unnamed ? "unix-dgram" : "\(first.sender)"
            let account = Account(name, rules.report)
            account.accepted(on: place)
            if !keeps { try refuse(allBut: first.sender, socket) }
            try joinNext(DatagramJoin(DatagramPeer(socket, first: first), account, input, rules))
            socket.receiveDeadline = .never
        } while mayGoOn
    }

    /// The next datagram of anybody; nil when there will be no other.
    private func nextDatagram(of socket: DatagramSocket) throws(Failure) -> Datagram? {
        while true {
            do throws(SocketError) {
                return try socket.receive()
            } catch {
                switch error.cause {
                case .closed: return nil
                // It is about what the last peer was sent.
                case .system(let errno) where errno.isOfASentDatagram: continue
                default: throw Failure(error)
                }
            }
        }
    }

    private func refuse(allBut sender: SocketAddress, _ socket: DatagramSocket) throws(Failure) {
        do throws(SocketError) { try socket.refuseAllBut(sender) } catch { throw Failure(error) }
    }
}
