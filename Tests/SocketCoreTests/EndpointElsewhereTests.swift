import SocketCore
import TestSupport
import Testing

/// The endpoints that are no socket's address: programs, files, descriptors, and what the service manager passes on.
@Suite(.inTurn) struct EndpointElsewhereTests {
    @Test(arguments: [
        ("exec:cat", ["cat"]), ("exec: cat ", ["cat"]), ("exec:a  b\tc", ["a", "b", "c"]),
        ("exec:a 'b c' d", ["a", "b c", "d"]), ("exec:a ''", ["a", ""]), ("exec:a \"\" b", ["a", "", "b"]),
        ("exec:a'b'\"c\"d", ["abcd"]), (#"exec:a "b\"c" "d\\e" "f\$g" "h\`i""#, ["a", "b\"c", "d\\e", "f$g", "h`i"]),
        (#"exec:a "b\c" 'd\e'"#, ["a", #"b\c"#, #"d\e"#]),
        (#"exec:a b\ c \\ \' \" \x"#, ["a", "b c", "\\", "'", "\"", "x"]),
        ("exec:a 'it'\\''s'", ["a", "it's"]),
        (
            "exec:/bin/echo $HOME *.c | wc; ls & (x) <y >z ~ #n !h `w` {1,2}",
            [
                "/bin/echo", "$HOME", "*.c", "|", "wc;", "ls", "&", "(x)", "<y", ">z", "~", "#n", "!h", "`w`", "{1,2}",
            ]
        ),
        ("exec:date +%s?a=b&c", ["date", "+%s?a=b&c"]), ("exec:80", ["80"]), ("exec:嗨 'é à'", ["嗨", "é à"]),
        ("exec:sh -c 'cat; echo \"done\"'", ["sh", "-c", "cat; echo \"done\""]), ("exec:-x", ["-x"]),
        ("exec:a '\u{301}'", ["a", "\u{301}"]),
    ])
    func aCommandIsSplitByTheShellsQuoting(text: String, arguments: [String]) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.transport == .program && endpoint.parameters.isEmpty)
        #expect(endpoint.place == .program(try #require(Endpoint.Command(arguments))))
        #expect(try Endpoint(endpoint.description) == endpoint, "\(endpoint)")
    }

    @Test(arguments: [
        ("exec:", 5, "command is missing"), ("exec:  \t", 8, "exec:PROGRAM"), ("exec:''", 5, "name of a program"),
        ("exec: \"\" a", 6, "name of a program"), ("exec:a 'b", 7, "not closed"), ("exec:a \"b", 7, "not closed"),
        (#"exec:a "b\""#, 7, "not closed"), ("exec:a x'", 8, "not closed"), ("exec:a \\", 7, "behind the backslash"),
        ("exec:a\\", 6, "behind the backslash"), ("exec:嗨 'b", 9, "not closed"), ("exec:a\0b", 6, "control character"),
        ("exec:a 'b\nc'", 9, "control character"), ("exec:a 'b\tc'", 9, "control character"),
        ("exec:a\\\tb", 7, "control character"), ("exec:a \u{202e}b", 7, "control character"),
    ])
    func aCommandIsReadStrictly(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("fd:0", "fd:0"), ("fd:2147483647", "fd:2147483647"), ("file:a", "file:a"), ("file:./a", "file:./a"),
        ("file:///a/b", "file:///a/b"), ("file:/a", "file:///a"), ("file:////a", "file:////a"),
        ("file:a%3fb%25%20?mode=append", "file:a%3Fb%25%20?mode=append"), ("file:/dev/null", "file:///dev/null"),
        ("file:@a", "file:@a"), ("file:嗨", "file:嗨"), ("file:80", "file:80"), ("systemd:", "systemd:"),
        ("systemd:web", "systemd:web"), ("systemd:a%3fb c?backlog=3", "systemd:a%3Fb%20c?backlog=3"),
        ("exec:cat", "exec:cat"), ("exec:sh -c 'a  b' ''", "exec:sh -c 'a  b' ''"),
        ("exec:a it\\'s", "exec:a 'it'\\''s'"),
        ("exec:/bin/a_b-c.d,e=f:g@h+i%j", "exec:/bin/a_b-c.d,e=f:g@h+i%j"), ("exec:a \"b\"", "exec:a b"),
        ("exec:a \\?", "exec:a '?'"),
    ])
    func anEndpointElsewherePrintsInOneForm(text: String, printed: String) throws {
        let endpoint = try Endpoint(text)
        #expect(endpoint.description == printed)
        #expect(try Endpoint(printed) == endpoint)
        #expect(!endpoint.transport.hasAddresses && !endpoint.transport.carriesDatagrams)
    }

    @Test(arguments: [
        ("fd:", 3, "number is missing"), ("fd:+3", 3, "fd:3"), ("fd:03", 3, "leading zeros"), ("fd:-1", 3, "fd:3"),
        ("fd:3 ", 3, "fd:3"), ("fd:x", 3, "fd:3"), ("fd:2147483648", 3, "fd:3"), ("fd://3", 3, "fd:3"),
        ("fd:99999999999999999999", 3, "fd:3"), ("file:", 5, "path is missing"), ("file://", 7, "starts with /"),
        ("file://a", 7, "file:PATH"), ("file:%00", 5, "zero byte"), ("file:a%", 6, "two hexadecimal"),
        ("file:a?mod=read", 7, "did you mean \"mode\"?"), ("fd:3?mode=read", 5, "unknown key \"mode\""),
        ("systemd:a:b", 8, "without colons"), ("systemd:嗨", 8, "ASCII"),
        ("systemd:" + String(repeating: "n", count: 256), 8, "256 characters"),
        ("file:" + String(repeating: "p", count: 4096), 5, "4096 bytes"),
    ])
    func whatStandsElsewhereIsReadStrictly(text: String, position: Int, reason: String) {
        expectError(text, position, reason)
    }

    @Test(arguments: [
        ("exce:cat", "did you mean \"exec\"?"), ("fil:///a", "did you mean \"file\"?"), ("FILE:a", "lower case: file"),
        ("systmd:web", "did you mean \"systemd\"?"), ("Exec:cat a:b", "lower case: exec"),
        ("df:x", "did you mean \"fd\"?"),
        ("unx:a", "did you mean \"unix\"?"), ("systmd://web", "did you mean \"systemd\"?"),
    ])
    func aSchemeWithALetterWrongIsToldTheNearest(text: String, reason: String) {
        expectError(text, 0, reason)
    }

    /// A host may be called as it likes, where a port stands behind it; what is no scheme stays a host.
    @Test(arguments: ["fil:80", "exce:80", "tcp:80", "FD:3", "tcp://exec:80", "udp://file:80"])
    func aHostNamedLikeASchemeIsAHost(text: String) throws {
        guard case .name = try Endpoint(text).place else {
            Issue.record("\(text) is no host")
            return
        }
    }

    @Test func aCommandHoldsOnlyWhatPrints() {
        #expect(Endpoint.Command([]) == nil)
        #expect(Endpoint.Command(["", "a"]) == nil)
        #expect(Endpoint.Command(["a", "b\nc"]) == nil)
        #expect(Endpoint.Command(["a", "\0"]) == nil)
        #expect(Endpoint.Command(["a", ""])?.program == "a")
        #expect(Endpoint.Path("") == nil && Endpoint.Path("a\0") == nil)
    }
}
