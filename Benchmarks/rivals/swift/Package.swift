// swift-tools-version:6.2
// The rivals in Swift, in a package of their own: Pier itself depends on none of them.
import PackageDescription

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
    name: "rivals",
    dependencies: [
        // The versions are exact, so that two runs are of the same rivals.
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/swhitty/FlyingFox", exact: "0.27.1"),
    ],
    targets: [
        .executableTarget(name: "nio-handlers", dependencies: nio),
        .executableTarget(name: "nio-async", dependencies: nio),
        .executableTarget(name: "flyingsocks", dependencies: [.product(name: "FlyingSocks", package: "FlyingFox")]),
    ],
    swiftLanguageModes: [.v6]
)
