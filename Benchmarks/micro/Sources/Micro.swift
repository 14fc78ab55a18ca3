import CCounting

/// Counts what the library's steps cost. Each line of its output is a kind of cost, a scenario, and the allocations or
/// bytes of one time; the instructions are what callgrind writes down between its marks, two of them a scenario's.
@main struct Micro {
    static func main() throws {
        guard counting_is_on() else { throw Failed(what: "to count allocations in this build") }
        let wanted = CommandLine.arguments.dropFirst()
        for scenario in Scenario.waits + Scenario.tasks + Scenario.streams + Scenario.datagrams {
            guard wanted.isEmpty || wanted.contains(scenario.name) else { continue }
            let allocations = try scenario.count()
            print("allocations\t\(scenario.name)\t\(allocations)\t\(scenario.many - scenario.few)")
        }
        if wanted.isEmpty { print("bytes\tparked client\t\(try bytesOfParkedClient())\t1") }
    }
}
