import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What happens when descriptors run out.
@Suite(.inTurnOnThreads, .serialized, .timeLimit(.minutes(10))) struct ShortageTests {
    private func limited(_ count: Int) -> [String] { ["sh", "-c", "ulimit -n \(count); exec \"$@\"", "sh"] }

    @Test(arguments: ["tasks", "callbacks", "threads"])
    func withoutDescriptorsLeftClientsQueueAndNothingSpins(model: String) async throws {
        // Allowed more clients than there are descriptors for, so that accepting itself fails.
        try await serving(
            "--model", model, "--max-clients", "1000", "--show", "none", "--loops", "1", launcher: limited(60)
        ) { server in
            let clients = try (0..<100).map { _ in try server.client() }
            for client in clients { try client.send("x") }
            let warning = try await server.program.errors.line(with: "warning")
            #expect(warning.contains("too many open files"))
            try await eventually { clients.count { $0.hasNews } > 5 }
            let served = clients.filter { $0.hasNews(within: 5) }
            #expect(served.count > 5 && served.count < 60, "\(served.count)")
            for client in served { #expect(try client.receive(1) == [0x78]) }

            // Only time can show that nothing turns in place of time.
            let (before, start) = (processorTime(of: server.program.pid), ContinuousClock.now)
            while ContinuousClock.now - start < .seconds(1) {
                #expect(try served[0].echo("served") == "served")
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(processorTime(of: server.program.pid) - before < .milliseconds(150))
            #expect(server.program.errors.lines.filter { $0.contains("warning") }.count == 1)

            // Whoever leaves makes room for those who queue.
            for client in served {
                client.finish()
                #expect(try client.receiveText() == "")
            }
            for client in clients where !served.contains(where: { $0 === client }) {
                #expect(try client.receive(1) == [0x78])
                client.finish()
                #expect(try client.receiveText() == "")
            }
            #expect(server.program.ending == nil)
        }
    }

    @Test func theLimitOnClientsFollowsTheLimitOnDescriptors() async throws {
        try await serving("--show", "none", "--loops", "1", launcher: limited(80)) { server in
            let clients = try (0..<30).map { _ in try server.client() }
            for client in clients { try client.send("x") }
            #expect(try clients[0].receive(1) == [0x78])
            for client in clients {
                if client !== clients[0] { #expect(try client.receive(1) == [0x78]) }
                client.finish()
                #expect(try client.receiveText() == "")
            }
            #expect(server.program.errors.lines.count == 1, "\(server.program.errors.text)")
        }
    }

    @Test(arguments: [4, 6, 8, 10])
    func tooFewDescriptorsToBeginWithAreAFailure(count: Int) async throws {
        let path = temporaryPath("sock")
        try await running("serve", "echo", path, "--show", "none", "--loops", "2", launcher: limited(count)) { server in
            try await eventually { server.ending != nil || server.errors.text.contains("listening") }
            if server.errors.text.contains("listening"), server.ending == nil {
                server.send(SIGTERM)
                let status = try await server.end()
                #expect(status == 0 || status == 1)
            } else {
                #expect(try await server.end() == 1)
                #expect(server.errors.text.contains("too many open files"), "\(server.errors.text)")
            }
            #expect(access(path, F_OK) != 0)
        }
    }
}
