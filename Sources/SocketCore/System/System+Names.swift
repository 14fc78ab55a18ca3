package import SystemPackage
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

extension System {
    /// What getaddrinfo(3) says instead of addresses.
    package enum LookupFailure: Error {
        /// No name server has such a name, or it has no address of the family.
        case noSuchName
        /// No name server answered.
        case noAnswer
        /// The system failed.
        case system(Errno)
        /// Something else, in the words of `gai_strerror(3)`.
        case other(String)
    }

    /// The addresses of a name, all or those of one family, in the order of the resolver (RFC 6724); at least one.
    ///
    /// Blocks the thread for as long as the resolver takes; nothing ends that. Corresponds to `getaddrinfo(3)`.
    package static func addresses(
        of name: String, port: UInt16, family: AddressFamily?
    ) throws(LookupFailure) -> [SocketAddress] {
        if case .fail(let errno) = Interposer.verdict(.getaddrinfo, -1) { throw .system(errno) }
        var hints = addrinfo()
        hints.ai_family = family.map { $0 == .ipv4 ? AF_INET : AF_INET6 } ?? AF_UNSPEC
        hints.ai_socktype = System.kindStream
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        let error = Errno(rawValue: errno)
        defer { if let list { freeaddrinfo(list) } }
        switch code {
        case 0: break
        case EAI_NONAME: throw .noSuchName
        case EAI_AGAIN: throw .noAnswer
        case EAI_SYSTEM: throw .system(error)
        default: throw .other(String(cString: gai_strerror(code)))
        }
        var found: [SocketAddress] = []
        var entry = list
        while let info = entry?.pointee {
            let bytes = UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen))
            if let address = SocketAddress(kernel: bytes)?.with(port: port), !found.contains(address) {
                found.append(address)
            }
            entry = info.ai_next
        }
        if found.isEmpty { throw .noSuchName }
        return found
    }
}
