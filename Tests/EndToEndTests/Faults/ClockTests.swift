import SystemPackage
import TestSupport
import Testing
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

@Suite("G4: the wall clock jumps", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct WallClockTests {
    @Test(
        .enabled(if: WallClockTests.library != nil, "faketime is not installed"),
        .disabled(if: isSanitized, "faketime and the sanitizer exclude each other"),
        arguments: ["tasks", "callbacks", "threads"])
    func timeoutsDoNotNotice(model: String) async throws {
        let jump = temporaryPath("clock")
        try makeFile(jump, Array("+0\n".utf8))
        defer { unlink(jump) }
        // The library changes the environment of the first program, and Swift then finds no arguments; so that is env(1).
        let faked = [
            "LD_PRELOAD": Self.library ?? "", "FAKETIME_TIMESTAMP_FILE": jump, "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
        ]
        try await serving("--model", model, "--idle-timeout", "1s", launcher: ["env"], environment: faked) { server in
            // The library's own memory, which the first program that it fakes makes for the others, and which stays.
            defer { for name in ["shm", "sem"] { unlink(Self.shared(name, server.program.pid)) } }
            for days in ["+100d", "-100d"] {
                let client = try server.client()
                let start = ContinuousClock.now
                #expect(try client.echo("hello") == "hello")
                try makeFile(jump, Array("\(days)\n".utf8))
                // So that it is sure to have been in force.
                let date = try await outcome(of: ["date", "+%s"], environment: faked)
                let told = Int(date.output.dropLast()) ?? 0
                #expect(abs(told - Int(time(nil))) > 99 * 86400, "the clock did not jump: \(date.output)")
                #expect(try server.client().echo("quick") == "quick")
                try await eventually(patience, "its end") { client.hasNews }
                #expect(throws: Errno.connectionReset) { try client.receiveText() }
                let taken = ContinuousClock.now - start
                #expect(taken > .milliseconds(800) && taken < patience, "\(taken)")
            }
        }
    }

    private static func shared(_ kind: String, _ pid: pid_t) -> String {
        "/dev/shm/\(kind == "sem" ? "sem." : "")faketime_\(kind)_\(pid)"
    }

    private static let library: String? = {
        ["x86_64-linux-gnu", "aarch64-linux-gnu"].map { "/usr/lib/\($0)/faketime/libfaketimeMT.so.1" }
            .first { access($0, R_OK) == 0 }
    }()
}

/// Not one after another: each waits for its time.
@Suite("G5: the monotonic clock passes 2^31 and 2^32 milliseconds", .inTurnOnThreads, .timeLimit(.minutes(10)))
struct MonotonicClockTests {
    /// What the clock shows, in milliseconds, a moment after the server has started: within the wait that is measured. The
    /// last is as far as the kernel lets it be set.
    @Test(
        .enabled(if: MonotonicClockTests.isAllowed, "time namespaces are not allowed here"),
        arguments: [1 << 31, 1 << 32, 1 << 62 / 1_000_000] as [Int], ["tasks", "callbacks", "threads"])
    func timersAreRight(_ milliseconds: Int, _ model: String) async throws {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let offset = "\(milliseconds / 1000 - now.tv_sec - 1)"
        let launcher = ["unshare", "-T", "--monotonic", offset, "--boottime", offset, "--fork", "--kill-child"]
        try await withTime(.seconds(2)) { idle in
            try await serving("--model", model, "--idle-timeout", idle.argument, launcher: launcher) { server in
                let start = ContinuousClock.now
                var speaker = Speaker(idle: idle)
                let (silent, other) = (try server.client(), try server.client())
                #expect(try speaker.says { try silent.echo("hello") == "hello" })
                while !silent.hasNews, ContinuousClock.now - start < patience {
                    #expect(try speaker.says { try other.echo("quick") == "quick" })
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(throws: Errno.connectionReset) { try silent.receiveText() }
                let taken = ContinuousClock.now - start
                #expect(taken > idle - .milliseconds(100) && taken < patience, "\(taken)")
            }
        }
    }

    private static let isAllowed: Bool = {
        guard geteuid() == 0, Place.has("unshare") else { return false }
        return system("unshare -T --monotonic 1 --boottime 1 --fork true 2> /dev/null") == 0
    }()
}

@Suite(
    "G6: a server that is stopped for longer than its time-outs", .inTurnOnThreads, .serialized,
    .timeLimit(.minutes(10)))
struct StoppedServerTests {
    /// With tasks more than a loop is told of at once.
    @Test(arguments: [("tasks", 300), ("callbacks", 300), ("threads", 50)])
    func expiredTimesEndTheSilentOnceAndNobodyElse(model: String, count: Int) async throws {
        try await withTime(.seconds(2)) { idle in try await expiredTimesEndTheSilent(model, count, idle) }
    }

    private func expiredTimesEndTheSilent(_ model: String, _ count: Int, _ idle: Duration) async throws {
        try await serving(
            "--model", model, "--loops", "1", "--idle-timeout", idle.argument, "--show", "none"
        ) { server in
            let clients = try await onThread {
                let start = ContinuousClock.now
                let clients = try (0..<count).map { _ in try server.client() }
                let areHeard = try clients.allSatisfy { try $0.echo("hello") == "hello" }
                server.program.send(SIGSTOP)
                guard ContinuousClock.now - start < idle else { throw TooSlow() }
                #expect(areHeard)
                // As a network does that goes on while the machine sleeps.
                for client in clients.dropFirst(20) { try client.send("awake") }
                return clients
            }
            let start = ContinuousClock.now
            try await eventually { ContinuousClock.now - start > idle + .milliseconds(200) }
            server.program.send(SIGCONT)
            for client in clients {
                try await eventually(patience, "its answer or its end") { client.hasNews }
            }
            for client in clients.dropFirst(20) { #expect(try client.receive(5) == Array("awake".utf8)) }
            for client in clients.prefix(20) { #expect(throws: Errno.connectionReset) { try client.receiveText() } }
            #expect(try server.client().echo("hello") == "hello")
            // Nothing is caught up with: once the rest has ended it does nothing.
            for client in clients.dropFirst(20) {
                try await eventually(patience, "its end") { client.hasNews }
                #expect(throws: Errno.connectionReset) { try client.receiveText() }
            }
            let pid = server.program.pid
            let (before, since) = (processorTime(of: pid), ContinuousClock.now)
            try await eventually { ContinuousClock.now - since > .milliseconds(500) }
            #expect(processorTime(of: pid) - before < .milliseconds(100))
        }
    }
}

@Suite("G7: too little processor time", .inTurnOnThreads, .serialized, .timeLimit(.minutes(10)))
struct StarvedServerTests {
    @Test(.enabled(if: Place.has("taskset"), "taskset is not installed"), arguments: ["tasks", "callbacks", "threads"])
    func nobodyTimesOutWhoKeepsSpeaking(model: String) async throws {
        let busy = ["taskset", "-c", "0", "sh", "-c", "while :; do :; done"]
        try await serving(
            "--model", model, "--idle-timeout", "1s", "--show", "none", launcher: ["taskset", "-c", "0"]
        ) { server in
            let clients = try (0..<20).map { _ in try server.client() }
            // Each says a byte every tenth of a second; unless this process gets no time either, and nothing is proved.
            var (sent, longest) = (0, Duration.zero)
            try await starting(busy) { _ in
                try await starting(busy) { _ in
                    let start = ContinuousClock.now
                    var last = start
                    while ContinuousClock.now - start < .milliseconds(2500) {
                        longest = max(longest, ContinuousClock.now - last)
                        guard longest < .milliseconds(700) else { return }
                        last = .now
                        for client in clients { try client.send("x") }
                        sent += 1
                        try await Task.sleep(for: .milliseconds(100))
                    }
                }
            }
            guard longest < .milliseconds(700) else { return }
            let all = String(repeating: "x", count: sent)
            for client in clients { #expect(String(decoding: try client.receive(sent), as: UTF8.self) == all) }
            // And who is silent does time out.
            for client in clients {
                try await eventually(patience, "its end") { client.hasNews }
                #expect(throws: Errno.connectionReset) { try client.receiveText() }
            }
        }
    }
}
