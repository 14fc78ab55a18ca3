internal import Loops
internal import SocketCore
internal import Sockets

extension Host {
    /// Joins who sends to the socket of the endpoint; or who is at its other end, if it is connected already.
    func hostSenders(_ work: Work) throws {
        try rules.checkForDatagrams(endpoint)
        let inherited = try DatagramSocket.inherited(of: endpoint, rules)
        if let inherited, inherited.remoteAddress != nil {
            try checkForOne()
            return try host(work, stop: {}) { (input) throws(Failure) in
                try self.joinNext { () throws(Failure) in
                    DatagramJoin(connected: inherited, of: self.endpoint, input, self.rules)
                }
            }
        }
        let socket = try inherited ?? boundSocket()
        // Whatever happens from here on, no path of ours stays behind.
        defer { socket.close() }
        rules.report.listening(socket.endpoint)
        try host(work, stop: { socket.close() }) { (input) throws(Failure) in
            try self.joinSenders(of: socket, isOurs: inherited == nil, input)
        }
    }

    private func boundSocket() throws(Failure) -> DatagramSocket {
        do throws(SocketError) {
            return try DatagramSocket(on: endpoint, trace: rules.report.trace)
        } catch {
            throw Failure(error)
        }
    }

    /// Joins the first sender, or one after another.
    private func joinSenders(
        of socket: DatagramSocket, isOurs: Bool, _ input: StandardInput
    ) throws(Failure) {
        let place = "\(socket.endpoint)"
        if let timeout { socket.receiveDeadline = .after(timeout) }
        repeat {
            guard let first = try nextDatagram(of: socket) else { return }
            let account = Account(first.sender.senderName, rules.report)
            account.accepted(on: place)
            // A socket that others hold too stays connected to nobody; what they send is dropped here.
            if !keeps, isOurs { try refuse(allBut: first.sender, socket) }
            try joinNext { () throws(Failure) in
                DatagramJoin(DatagramPeer(socket, first: first), account, input, rules)
            }
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
