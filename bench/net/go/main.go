// main.go - an echo server in Go: a goroutine for each connection.
// SPDX-License-Identifier: MIT
//
// An argument is the size of the buffer that each has. "collect" is echoed as
// anything else, after a collection, if a second argument asks for that. With
// the arguments `dial PORT` it is a client: dial.go.

package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

func serve(c net.Conn, size int, collects bool) {
	defer c.Close()
	bytes := make([]byte, size)
	for {
		n, err := c.Read(bytes)
		if err != nil {
			return
		}
		if collects && string(bytes[:n]) == "collect" {
			runtime.GC()
			debug.FreeOSMemory()
		}
		if _, err := c.Write(bytes[:n]); err != nil {
			return
		}
	}
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "dial" {
		dial(os.Args[2])
	}
	size := 4096
	if len(os.Args) > 1 {
		size, _ = strconv.Atoi(os.Args[1])
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		c, err := listener.Accept()
		if err == nil {
			go serve(c, size, len(os.Args) > 2)
		}
	}
}
