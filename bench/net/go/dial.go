// dial.go - a client in Go: goroutines that connect, write a byte, read until
// the end and close.
// SPDX-License-Identifier: MIT

package main

import "net"

const atOnce = 32

func dialForEver(address string) {
	bytes := make([]byte, 4096)
	for {
		c, err := net.Dial("tcp", address)
		if err != nil {
			continue
		}
		c.Write([]byte("x"))
		c.Read(bytes)
		c.Close()
	}
}

func dial(port string) {
	for i := 1; i < atOnce; i++ {
		go dialForEver("127.0.0.1:" + port)
	}
	dialForEver("127.0.0.1:" + port)
}
