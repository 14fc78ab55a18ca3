// swift-tools-version: 6.2
import PackageDescription

let swift: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    // A verb runs where its caller runs: no hop to the global pool and back around each system call.
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error, .when(configuration: .release)),
]

let package = Package(
    name: "pier",
    products: [
        .library(name: "Sockets", targets: ["Sockets"]),
        .executable(name: "pier", targets: ["pier"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .target(name: "CSockets"),
        .target(
            name: "SocketCore",
            dependencies: ["CSockets", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: swift),
        .target(
            name: "Loops",
            dependencies: [
                "CSockets", "SocketCore", .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "DequeModule", package: "swift-collections"),
            ],
            swiftSettings: swift),
        .target(
            name: "Sockets",
            dependencies: [
                "CSockets", "SocketCore", "Loops", .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "DequeModule", package: "swift-collections"),
            ],
            swiftSettings: swift),
        .target(
            name: "PierKit",
            dependencies: [
                "Sockets", "Loops", "SocketCore",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift),
        .executableTarget(name: "pier", dependencies: ["PierKit"], swiftSettings: swift),

        // A test target for each layer, and one that runs the command as its users do.
        .target(name: "CCounting", path: "Tests/CCounting"),
        .target(
            name: "TestSupport",
            dependencies: ["Sockets", "SocketCore", .product(name: "SystemPackage", package: "swift-system")],
            path: "Tests/TestSupport", swiftSettings: swift),
        .testTarget(name: "SocketCoreTests", dependencies: ["SocketCore", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "LoopsTests", dependencies: ["Loops", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "SocketsTests", dependencies: ["Sockets", "Loops", "TestSupport", "CCounting"], swiftSettings: swift),
        .testTarget(name: "PierKitTests", dependencies: ["PierKit", "TestSupport"], swiftSettings: swift),
        .testTarget(name: "EndToEndTests", dependencies: ["pier", "Sockets", "TestSupport"], swiftSettings: swift),
    ],
    swiftLanguageModes: [.v6]
)

// The fuzzers are linked with libFuzzer, which only `make fuzz` asks for.
if Context.environment["PIER_FUZZ"] != nil {
    package.targets.append(.target(name: "FuzzSupport", path: "Fuzz/Support", swiftSettings: swift))
    for name in ["Endpoint", "Address", "Terminal", "Datagrams", "Framing"] {
        package.targets.append(
            .executableTarget(
                name: "Fuzz\(name)", dependencies: ["FuzzSupport", "SocketCore", "Sockets", "PierKit"],
                path: "Fuzz/\(name)", exclude: ["corpus"], swiftSettings: swift))
    }
}

// For `make micro` and `make bench` alone.
if Context.environment["PIER_BENCHMARKS"] != nil {
    package.targets.append(
        .executableTarget(
            name: "straight", dependencies: ["Sockets"], path: "Benchmarks/straight", swiftSettings: swift))
    package.targets.append(
        .executableTarget(
            name: "micro",
            dependencies: [
                "CCounting", "Sockets", "Loops", "SocketCore",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Benchmarks/micro/Sources", swiftSettings: swift))
}
