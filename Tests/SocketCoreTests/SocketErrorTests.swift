import SocketCore
import SystemPackage
import Testing
import TestSupport

/// Errors as sentences.
@Suite(.inTurn) struct SocketErrorTests {
    @Test(
        arguments: [
            (.connect, .system(.connectionRefused), "127.0.0.1:9", "connect tcp 127.0.0.1:9: connection refused"),
            (.connect, .timedOut, "[::1]:9", "connect tcp [::1]:9: timed out"),
            (.receive, .system(.connectionReset), "10.0.0.1:80", "receive tcp 10.0.0.1:80: connection reset by peer"),
            (.send, .system(.brokenPipe), "/run/a.sock", "send unix /run/a.sock: broken pipe"),
            (.accept, .closed, "@a", "accept unix @a: it is closed"),
            (.bind, .system(.addressInUse), "0.0.0.0:80", "bind tcp 0.0.0.0:80: address already in use"),
            (.receive, .cancelled, "./a", "receive unix ./a: cancelled"),
            (
                .receive, .ended(received: 3), "127.0.0.1:9",
                "receive tcp 127.0.0.1:9: the peer finished after 3 bytes, before all had come"
            ),
            (.receive, .lineTooLong(limit: 9), "127.0.0.1:9", "receive tcp 127.0.0.1:9: a line is longer than 9 bytes"),
            (
                .send, .messageCut(sent: 7), "127.0.0.1:9",
                "send tcp 127.0.0.1:9: an earlier message was cut after 7 bytes"
            ),
            (.send, .misuse("no"), "127.0.0.1:9", "send tcp 127.0.0.1:9: no"),
            (.send, .system(.ioError), "127.0.0.1:9", "send tcp 127.0.0.1:9: input/output error"),
        ] as [(SocketError.Operation, SocketError.Cause, String, String)])
    func anErrorIsOneSentence(
        operation: SocketError.Operation, cause: SocketError.Cause, remote: String, sentence: String
    ) throws {
        let error = SocketError(operation, cause, remote: try SocketAddress(remote))
        #expect("\(error)" == sentence)
    }

    @Test func aFailedSendSaysHowManyBytesItHadSent() throws {
        let remote = try SocketAddress("127.0.0.1:9")
        let error = SocketError(.send, .timedOut, remote: remote).afterSending(5)
        #expect(error.bytesSent == 5)
        #expect("\(error)" == "send tcp 127.0.0.1:9: timed out; 5 bytes were sent before that")
        #expect(SocketError(.send, .timedOut, remote: remote).bytesSent == 0)
    }

    @Test func thePeersAddressTellsMoreThanOnesOwn() throws {
        let local = try SocketAddress("127.0.0.1:1")
        let remote = try SocketAddress("127.0.0.1:2")
        #expect("\(SocketError(.send, .closed, local: local, remote: remote))" == "send tcp 127.0.0.1:2: it is closed")
        #expect("\(SocketError(.accept, .closed, local: local))" == "accept tcp 127.0.0.1:1: it is closed")
        #expect("\(SocketError(.sleep, .cancelled))" == "sleep: cancelled")
        #expect("\(SocketError(.connect, .timedOut, target: "tcp://a:1"))" == "connect tcp://a:1: timed out")
    }

    @Test func itHoldsWhatItWasMadeWith() throws {
        let local = try SocketAddress("127.0.0.1:1")
        let remote = try SocketAddress("127.0.0.1:2")
        let error = SocketError(.send, .system(.brokenPipe), local: local, remote: remote, target: "t")
        #expect(error.operation == .send)
        #expect(error.cause == .system(.brokenPipe))
        #expect(error.local == local)
        #expect(error.remote == remote)
        #expect(error.target == "t")
    }

    @Test(
        arguments: [
            (.system(.connectionReset), true), (.system(.brokenPipe), true), (.system(.connectionRefused), false),
            (.closed, false), (.timedOut, false),
        ] as [(SocketError.Cause, Bool)])
    func aResetIsToldFromOtherEnds(cause: SocketError.Cause, isReset: Bool) {
        #expect(SocketError(.receive, cause).isReset == isReset)
    }

    @Test func aBadEndpointSpeaksForItself() throws {
        let bad = try #require(throws: EndpointError.self) { try Endpoint("127.0.0.1:080") }
        #expect("\(SocketError(.connect, .endpoint(bad)))" == bad.description)
    }

    // A name comes from a person or a file, an abstract name from any peer.
    @Test func aSentenceIsSafeForATerminal() {
        let name = "\u{1b}[31m\u{202e}\u{9b}x"
        let unresolved = SocketError(.resolve, .resolution(name: name, reason: "no such host"))
        #expect(isSafeForTerminal(unresolved.description))
        let peer = UnixAddress(abstract: name).map { SocketError(.receive, .closed, remote: .unix($0)) }
        #expect(peer.map { isSafeForTerminal($0.description) } == true)
    }

    @Test(arguments: [(Errno.ioError, "input/output error"), (.wouldBlock, "resource temporarily unavailable")])
    func theSystemsWordsStandInTheMiddleOfASentence(errno: Errno, words: String) {
        #expect(errno.sentence == words)
    }
}
