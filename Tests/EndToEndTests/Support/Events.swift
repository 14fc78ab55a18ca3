import Testing
import TestSupport
#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The lines of `--events json`, read by another program and held to what is documented.
enum Events {
    static let documentation =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
        + "/Documentation"

    /// Checks that each line is an object which the schema allows, and that time never goes back; prints the names.
    private static let checker = """
        import json, sys
        schema = json.load(open(sys.argv[1]))
        kinds = {'string': str, 'integer': int, 'number': (int, float)}
        def refuse(word): raise ValueError(word)
        def check(event):
            shape = schema['$defs'][event['event']]
            assert {'$ref': '#/$defs/' + event['event']} in schema['oneOf']
            assert not set(shape['required']) - set(event), ('missing', event)
            assert not set(event) - set(shape['properties']), ('unknown', event)
            for name, value in event.items():
                rule = shape['properties'][name]
                assert 'const' not in rule or value == rule['const'], (name, event)
                assert 'type' not in rule or type(value) is not bool and isinstance(value, kinds[rule['type']]), (name, event)
                assert 'minimum' not in rule or value >= rule['minimum'], (name, event)
                assert 'enum' not in rule or value in rule['enum'], (name, event)
        last = 0
        text = sys.stdin.buffer.read().decode('utf-8')
        assert text.endswith('\\n') or not text
        for line in text.split('\\n')[:-1]:
            assert line.isprintable(), line
            event = json.loads(line, parse_constant=refuse)
            check(event)
            assert event['time'] >= last, line
            last = event['time']
            print(event['event'], *(f'{name}={event[name]}' for name in event if name not in ('event', 'time', 'seconds')))
        """

    /// The events that were told, one a line, without times; all of them checked.
    static func checked(_ told: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) async throws -> [String] {
        let path = temporaryPath("events")
        try makeFile(path, told)
        defer { unlink(path) }
        let script = "exec python3 -c \"$1\" \"$2\" < \"$3\""
        let checker = try await outcome(of: [
            "sh", "-c", script, "sh", checker, documentation + "/events.schema.json", path,
        ])
        #expect(checker.status == 0, "\(checker.errors)", sourceLocation: sourceLocation)
        return checker.output.split(separator: "\n").map(String.init)
    }
}
