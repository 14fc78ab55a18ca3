import Sockets
import SystemPackage
import TestSupport
import Testing

/// What a trace tells: the tutorial's four stages, each wait, and how each verb ended.
@Suite(.inTurn) struct TracingTests {
    private typealias Lines = Notes<String>

    private func trace(to lines: Notes<String>) -> Trace { .lines { lines.add($0) } }

    /// Created, bound, a connection before `listen` refused, listening, connected and accepted: one line each, as Python
    /// shows a socket.
    @Test(arguments: Kind.allCases, Face.allCases)
    func theFourStagesShowTheSocket(_ kind: Kind, _ face: Face) async throws {
        try await trial { _ in
            let (serverLines, clientLines) = (Lines(), Lines())
            let listener = try Listener(bound: Endpoint(kind.endpoint), trace: trace(to: serverLines))
            let own = try #require(listener.socketDescription)
            let family = ["tcp4": "AF_INET", "tcp6": "AF_INET6", "unix": "AF_UNIX"][kind.rawValue] ?? ""
            let proto = kind == .unix ? "0" : "IPPROTO_TCP"
            func shown(_ fd: CInt) -> String { "<socket fd=\(fd), family=\(family), type=SOCK_STREAM, proto=\(proto)" }

            #expect(serverLines.all.count == 2)
            #expect(serverLines.all[0].hasPrefix("created \(shown(own.descriptor))"))
            #expect(serverLines.all[1] == "bound \(shown(own.descriptor)), local=\(listener.address)>")
            #expect(own.description == "\(shown(own.descriptor)), local=\(listener.address)>")

            let clientTrace = trace(to: clientLines)
            let endpoint = listener.endpoint
            let refused = try await cause { try await Connection(to: endpoint, trace: clientTrace) }
            #expect(refused == .system(.connectionRefused))
            #expect(clientLines.all.contains { $0.contains("connect") && $0.contains("connection refused") })

            try listener.listen(backlog: 7)
            #expect(
                serverLines.all.last == "\(listener.address): open, and up to 7 clients queue until they are accepted")
            let client: Connection
            switch face {
            case .task: client = try await Connection(to: endpoint, trace: clientTrace)
            case .thread: client = try await onThread { try Connection(to: endpoint, trace: clientTrace) }
            }
            let connected = try #require(clientLines.all.first { $0.hasPrefix("connected ") })
            let clientSocket = try #require(client.socketDescription)
            #expect(connected.hasPrefix("connected \(shown(clientSocket.descriptor))"))
            #expect(connected.contains("remote=\(listener.address)>"))
            #expect(clientLines.all.contains { $0.hasPrefix("created \(shown(clientSocket.descriptor))") })

            let server = try await listener.accept(by: face)
            let accepted = try #require(serverLines.all.first { $0.hasPrefix("accepted ") })
            let serverSocket = try #require(server.socketDescription)
            #expect(accepted.hasPrefix("accepted \(shown(serverSocket.descriptor))"))
            #expect(accepted.contains("local=\(listener.address)"))
            if kind != .unix {
                #expect(accepted.contains("remote=\(try client.localAddress)>, after "))
                #expect(accepted.hasSuffix(" s in the listener's queue"))
            }
            client.close()
            server.close()
            #expect(serverLines.all.contains("\(server.remoteAddress): closed fd \(serverSocket.descriptor)"))
            listener.close()
            #expect(serverLines.all.last == "\(listener.address): closed fd \(own.descriptor)")
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func anAcceptsWaitIsToldWithItsLengthAndItsEnd(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            let lines = Lines()
            let listener = try Listener(on: kind.endpoint, trace: trace(to: lines))
            // The first look finds nobody, however late it is made.
            ledger.make(.accept, .fail(.wouldBlock))
            async let accepted = listener.accept(by: face)
            try await ledger.sees(.accept)
            let client = try await Connection(to: listener.endpoint)
            let server = try await accepted
            let line = try #require(lines.all.first { $0.hasPrefix("accept waited ") })
            let pattern = /accept waited \d+\.\d{3} s, until (.*) connected/
            #expect(try #require(line.wholeMatch(of: pattern)).1 == "\(server.remoteAddress)")
            client.close()
            listener.close()
        }
    }

    @Test(arguments: Kind.allCases, Face.allCases)
    func aReceivesWaitIsToldAndNoWaitIsToldWhereThereWasNone(_ kind: Kind, _ face: Face) async throws {
        try await trial { ledger in
            let events = Notes<Trace.Event>()
            let listener = try Listener(on: kind.endpoint, trace: Trace { events.add($0) })
            let client = try await Connection(to: listener.endpoint)
            let server = try await listener.accept(by: face)
            let before = events.all.count

            try await client.send([1, 2])
            _ = try await server.receive(upTo: 9, by: face)
            let name = "\(server.remoteAddress)"
            // The bytes may have come before it looked, or just after.
            let told = try #require(events.all[before...].map(\.description).last)
            #expect(told.hasPrefix("\(name): receive "))
            #expect(told.hasSuffix(" 2 bytes came"))

            let from = events.all.count
            let start = ContinuousClock.now
            server.receiveDeadline = .after(.seconds(2))
            _ = try await cause { try await server.receive(upTo: 9, by: face) }
            #expect(events.all[from...].count == 1)
            guard case .waited(.receive, let duration, let outcome)? = events.all[from...].first?.action else {
                Issue.record("no wait was told")
                return
            }
            #expect(duration > .zero && duration <= ContinuousClock.now - start)
            #expect("\(outcome)" == "its time was over")

            server.receiveDeadline = .never
            try client.finishSending()
            _ = try await server.receive(upTo: 9, by: face)
            #expect(events.all.last?.description.hasSuffix(" the peer finished sending") == true)
            try await server.send([1], by: face)
            #expect(events.all.last?.description == "\(name): send did not wait: 1 byte was passed on")
            server.close()
            client.close()
            listener.close()
        }
    }

    /// What makes a blocking server's fault visible: the second client was there, and nobody took it.
    @Test(arguments: [Kind.tcp4, .tcp6], Face.allCases)
    func itTellsHowLongAnAcceptedClientHadQueued(_ kind: Kind, _ face: Face) async throws {
        try await trial { _ in
            let events = Notes<Trace.Event>()
            let listener = try Listener(on: kind.endpoint, trace: Trace { events.add($0) })
            let client = try await Connection(to: listener.endpoint)
            client.receiveDeadline = .after(.milliseconds(150))
            #expect(try await cause { try await client.receive(upTo: 9) } == .timedOut)
            let server = try await listener.accept(by: face)
            let queued = events.all.compactMap { event -> Duration? in
                if case .stage(.accepted, _, let queued) = event.action { queued } else { nil }
            }
            #expect(queued.count == 1)
            // The kernel counts in ticks.
            #expect(queued[0] >= .milliseconds(140))
            #expect(queued[0] < patience)
            server.close()
            client.close()
            listener.close()
        }
    }

    @Test func aTraceIsOneLineAnEventWhateverThePeersNameIs() async throws {
        try await trial { _ in
            let lines = Lines()
            let path = temporaryPath("a\u{1b}[2Jb\nc")
            let listener = try Listener(on: Endpoint(.unix(#require(UnixAddress(path: path)))), trace: trace(to: lines))
            let client = try await Connection(to: listener.endpoint)
            let server = try await listener.accept()
            for line in lines.all { #expect(!line.contains("\u{1b}") && !line.contains("\n")) }
            server.close()
            client.close()
            listener.close()
        }
    }
}
