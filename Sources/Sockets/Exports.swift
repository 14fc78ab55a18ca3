// One `import Sockets` is enough. `Errno` comes along, because matching on an error's cause needs it.
@_exported public import Loops
@_exported public import SocketCore
@_exported public import struct SystemPackage.Errno
