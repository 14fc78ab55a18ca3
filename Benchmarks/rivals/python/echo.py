"""Python's asyncio in the style of protocols, its fastest; with uvloop where that is asked for.

    echo.py PORT [udp] [uvloop]
"""
import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, sender):
        self.transport.sendto(data, sender)


async def main(port, words):
    loop = asyncio.get_running_loop()
    if "udp" in words:
        await loop.create_datagram_endpoint(DatagramEcho, local_addr=("127.0.0.1", port))
    else:
        await loop.create_server(Echo, "127.0.0.1", port, backlog=4096)
    await asyncio.Event().wait()


words = sys.argv[2:]
if "uvloop" in words:
    import uvloop

    uvloop.install()
asyncio.run(main(int(sys.argv[1]), words))
