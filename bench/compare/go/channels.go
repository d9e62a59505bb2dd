// channels.go - what channels, select, goroutines and timers cost.
// SPDX-License-Identifier: MIT
//
// The counterparts of bench/*.lua; see bench/README.md for what a step is.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func pingpong(n int) float64 {
	there, back := make(chan int), make(chan int)
	go func() {
		for i := 0; i < n; i++ {
			back <- <-there
		}
	}()
	start := now()
	for i := 1; i <= n; i++ {
		there <- i
		check(<-back == i, "what comes back")
	}
	return now() - start
}

func buffered(n int) float64 {
	c := make(chan int, 1024)
	start := now()
	go func() {
		for i := 1; i <= n; i++ {
			c <- i
		}
	}()
	sum := 0
	for i := 1; i <= n; i++ {
		sum += <-c
	}
	seconds := now() - start
	check(sum == n*(n+1)/2, "the sum of the messages")
	return seconds
}

func fanin(n int) float64 {
	share := (n + 3) / 4
	c := make(chan int, 1024)
	start := now()
	for k := 0; k < 4; k++ {
		go func() {
			for i := 1; i <= share; i++ {
				c <- i
			}
		}()
	}
	sum := 0
	for i := 0; i < 4*share; i++ {
		sum += <-c
	}
	seconds := now() - start
	check(sum == 4*share*(share+1)/2, "the sum of the messages")
	return seconds * float64(n) / float64(4*share)
}

func choose(n int, width int) float64 {
	c := make([]chan int, 8)
	var stop atomic.Bool
	for i := range c {
		c[i] = make(chan int)
		if i < width {
			go func(c chan int) {
				for !stop.Load() {
					c <- 1
				}
				close(c)
			}(c[i])
		}
	}
	sum := 0
	start := now()
	if width == 2 {
		for i := 0; i < n; i++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			}
		}
	} else {
		for i := 0; i < n; i++ {
			select {
			case v := <-c[0]:
				sum += v
			case v := <-c[1]:
				sum += v
			case v := <-c[2]:
				sum += v
			case v := <-c[3]:
				sum += v
			case v := <-c[4]:
				sum += v
			case v := <-c[5]:
				sum += v
			case v := <-c[6]:
				sum += v
			case v := <-c[7]:
				sum += v
			}
		}
	}
	seconds := now() - start
	stop.Store(true)
	for _, c := range c[:width] {
		for range c { // until its sender has ended
		}
	}
	check(sum == n, "the number of messages")
	return seconds
}

func ring(n int) float64 {
	const size = 1000
	laps := (n + size - 1) / size
	first := make(chan int)
	input := first
	for i := 1; i < size; i++ {
		output := make(chan int)
		go func(input, output chan int) {
			for token := range input {
				output <- token
			}
			close(output)
		}(input, output)
		input = output
	}
	first <- 0
	<-input
	start := now()
	for lap := 1; lap <= laps; lap++ {
		first <- lap
		check(<-input == lap, "the token")
	}
	seconds := now() - start
	close(first)
	return seconds * float64(n) / float64(laps*size)
}

func spawn(n int) float64 {
	const batch = 1000
	start := now()
	for left := n; left > 0; left -= batch {
		var all sync.WaitGroup
		for i := 0; i < batch && i < left; i++ {
			all.Add(1)
			go all.Done()
		}
		all.Wait()
	}
	return now() - start
}

func skynet(n int) float64 {
	size := 1
	for size < n {
		size *= 10
	}
	var node func(c chan int, num, size int)
	node = func(c chan int, num, size int) {
		if size == 1 {
			c <- num
			return
		}
		children := make(chan int)
		for i := 0; i < 10; i++ {
			go node(children, num+i*size/10, size/10)
		}
		sum := 0
		for i := 0; i < 10; i++ {
			sum += <-children
		}
		c <- sum
	}
	c := make(chan int)
	start := now()
	go node(c, 0, size)
	sum := <-c
	seconds := now() - start
	check(sum == size*(size-1)/2, "the sum of the leaves")
	return seconds * float64(n) / float64(size)
}

// Sleeps end between half a second and a second and a half, if there are a
// million; sooner for fewer.
func timers(n int) float64 {
	unit := time.Duration(n) // a second if n is a million, divided by 1000
	woken := make(chan int, 1024)
	start := now()
	for i := 0; i < n; i++ {
		go func(d time.Duration) {
			time.Sleep(d)
			woken <- 1
		}(time.Duration(500+i*7919%1000) * unit)
	}
	sum := 0
	for i := 0; i < n; i++ {
		sum += <-woken
	}
	seconds := now() - start
	check(sum == n && seconds >= float64(n)*0.5e-6, "the sleepers")
	return seconds
}

func resident() int {
	text, err := os.ReadFile("/proc/self/statm")
	check(err == nil, "/proc/self/statm")
	var size, pages int
	fmt.Sscan(string(text), &size, &pages)
	return pages * os.Getpagesize()
}

// The bytes resident for each of n goroutines that wait.
func parked(n int) float64 {
	hold := func(n int, gate chan int) {
		var waiting sync.WaitGroup
		for i := 0; i < n; i++ {
			waiting.Add(1)
			go func() {
				waiting.Done()
				<-gate
			}()
		}
		waiting.Wait()
		runtime.GC()
	}
	gate := make(chan int)
	hold(100, gate)
	before := resident()
	hold(n, gate)
	bytes := float64(resident()-before) / float64(n)
	close(gate)
	return bytes
}
