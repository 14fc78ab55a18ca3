// Go's net package: a goroutine for each client, or one for all datagrams.
//
//	echo PORT [udp]
package main

import (
	"net"
	"os"
)

func main() {
	address := "127.0.0.1:" + os.Args[1]
	if len(os.Args) > 2 {
		datagrams(address)
	} else {
		streams(address)
	}
}

func streams(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			continue
		}
		go echo(client)
	}
}

func echo(client net.Conn) {
	defer client.Close()
	buffer := make([]byte, 4096)
	for {
		count, err := client.Read(buffer)
		if err != nil {
			return
		}
		if _, err := client.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func datagrams(address string) {
	local, err := net.ResolveUDPAddr("udp4", address)
	if err != nil {
		panic(err)
	}
	socket, err := net.ListenUDP("udp4", local)
	if err != nil {
		panic(err)
	}
	buffer := make([]byte, 65536)
	for {
		// AddrPort is the form without an allocation for each address.
		count, sender, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			continue
		}
		socket.WriteToUDPAddrPort(buffer[:count], sender)
	}
}
