// main.go - programs run to their end by Go's os/exec.
// SPDX-License-Identifier: MIT
//
// main N WIDTH: runs "true" N times, WIDTH at a time, with both outputs read to
// their ends, and prints the seconds that it took.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"
)

func run() {
	var out, err bytes.Buffer
	c := exec.Command("true")
	c.Stdout, c.Stderr = &out, &err
	if c.Run() != nil {
		panic("it did not run")
	}
}

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	width, _ := strconv.Atoi(os.Args[2])
	var all sync.WaitGroup
	began := time.Now()
	for i := 0; i < width; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for k := 0; k < n/width; k++ {
				run()
			}
		}()
	}
	all.Wait()
	fmt.Println(time.Since(began).Seconds())
}
