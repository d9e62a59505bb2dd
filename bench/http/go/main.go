// main.go - a server of "Hello, World!" on Go's net/http.
// SPDX-License-Identifier: MIT
//
// With the files of a certificate and its key as arguments it serves TLS, and
// HTTP/1.1 over it, as the others do.

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
)

var text = []byte("Hello, World!")

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server := http.Server{
		Handler: http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] =
					[]string{"text/plain; charset=utf-8"}
				w.Write(text)
			}),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn,
			http.Handler){},
	}
	if len(os.Args) > 2 {
		err = server.ServeTLS(listener, os.Args[1], os.Args[2])
	} else {
		err = server.Serve(listener)
	}
	panic(err)
}
