@testable import PierKit
import SocketCore
import Sockets
import Testing
import TestSupport

/// That nothing the library says stays without its Chinese.
@Suite(.inTurn) struct TranslationTests {
    @Test(arguments: [
        "", "localhost", ":", "127.0.0.1:65536", "127.0.0.1:080", "127.1:80", "[::1", "[::1]", "[x]:80", "[::1%]:80",
        "[::1%nosuchif0]:80", "::1", "fe80::1%eth0", "1:2:3", "gopher://a:80", "tc://a:80", "TCP://a:80", "unix://a",
        "unix-dgram://a", "@a", "80", "unix:", "unix://@", "/%", "/%00", "/a\0",
        "/\(String(repeating: "a", count: 200))",
        "ä:80", "a b:80", "a..b:80", ".:80", "\(String(repeating: "a", count: 64)):80", "/a?zzzzzz=1", "/a?bcklog=1",
        "/a?backlog", "/a?backlog=1&backlog=2", "exec:", "exec:''", "exec:a\nb", "exec:a \\", "exec:a 'b", "exec:a \"b",
        "file://a", "file:\(String(repeating: "a", count: 5000))", "fd:x",
        "systemd:\(String(repeating: "a", count: 300))",
        "systemd:a:b", "exce:cat",
    ])
    func everyReasonAgainstAnEndpointIsKnown(text: String) {
        let error = #expect(throws: EndpointError.self) { try Endpoint(text) }
        guard let error else { return }
        let chinese = chineseSentences[error.phrase.words]
        #expect(chinese != nil, "\(error.phrase.words)")
        #expect(error.phrase.said(error.phrase.words) == error.reason)
    }

    @Test(arguments: ["exec:cat", "file:a", "fd:3", "systemd:web"])
    func whatIsNoSocketsAddressIsToldToBothVerbs(text: String) async throws {
        let endpoint = try Endpoint(text)
        let refusals = [
            await #expect(throws: SocketError.self) { _ = try await Connection(to: endpoint) },
            #expect(throws: SocketError.self) { try Listener(on: endpoint) },
        ]
        for refusal in refusals {
            guard case .endpoint(let error)? = refusal?.cause else {
                Issue.record("\(String(describing: refusal))")
                return
            }
            #expect(chineseSentences[error.phrase.words] != nil, "\(error.phrase.words)")
        }
    }

    @Test func bothHaveTheSameValues() {
        for (english, chinese) in chineseSentences {
            #expect(english.count { $0 == "%" } == chinese.count { $0 == "%" }, "\(english)")
        }
    }

    @Test func aPhraseKeepsItsValuesApart() {
        let inner: Phrase = "or \(5)%"
        let phrase: Phrase = "write \("a%b") \(inner)"
        #expect(phrase.words == "write % or %%")
        #expect(phrase.values == ["a%b", "5", "%"])
        #expect(phrase.text == "write a%b or 5%")
        #expect(phrase.said("写 %，或 %%") == "写 a%b，或 5%")
        #expect(phrase.said("%%%%") == "a%b5%%")
    }
}
