// savina.go - benchmarks of the Savina suite, first part: messages.
// SPDX-License-Identifier: MIT
//
// The counterparts of ../lua/*.lua; see there for what each does, what a step
// is, and why bounded mailboxes cannot lock up.
package main

import (
	"math"
	"sync/atomic"
)

func init() {
	workloads["throughput"] = workload{"messages/s", throughput}
	workloads["creation"] = workload{"tasks/s", creation}
	workloads["counting"] = workload{"messages/s", counting}
	workloads["chameneos"] = workload{"meetings/s", chameneos}
	workloads["big"] = workload{"messages/s", big}
	workloads["bounded"] = workload{"items/s", bounded}
}

const mailbox = 64

func random(x int) int {
	return x * 16807 % 2147483647
}

func work(x, n int) int {
	for i := 0; i < n; i++ {
		x = random(x)
	}
	return x
}

func arithmetic(v int) int {
	x := math.Sin(float64(v))
	if x*x <= 1 {
		return v
	}
	return 0
}

func throughput(n int) float64 {
	const workers = 60
	each := (n + workers - 1) / workers
	start := now()
	sums := make(chan int, workers)
	var boxes [workers]chan int
	for k := range boxes {
		boxes[k] = make(chan int, mailbox)
		go func(box chan int) {
			sum := 0
			for i := 0; i < each; i++ {
				sum += arithmetic(<-box)
			}
			sums <- sum
		}(boxes[k])
	}
	for i := 1; i <= each; i++ {
		for _, box := range boxes {
			box <- i
		}
	}
	for range boxes {
		check(<-sums == each*(each+1)/2, "a worker's sum")
	}
	return (now() - start) * float64(n) / float64(workers*each)
}

func creation(n int) float64 {
	half := (n + 1) / 2
	result := make(chan int, mailbox)
	start := now()
	for m := 0; m < 2; m++ {
		go func() {
			for i := 1; i <= half; i++ {
				box := make(chan int, 1)
				go func() {
					result <- arithmetic(<-box)
				}()
				box <- i
			}
		}()
	}
	sum := 0
	for i := 0; i < 2*half; i++ {
		sum += <-result
	}
	check(sum == half*(half+1), "the sum")
	return (now() - start) * float64(n) / float64(2*half)
}

func counting(n int) float64 {
	box, reply := make(chan string, mailbox), make(chan int, 1)
	start := now()
	go func() {
		count := 0
		for <-box == "up" {
			count++
		}
		reply <- count
	}()
	for i := 0; i < n; i++ {
		box <- "up"
	}
	box <- "get"
	check(<-reply == n, "the count")
	return now() - start
}

func chameneos(n int) float64 {
	const creatures = 100
	type visit struct{ who, colour int }
	box := make(chan visit, mailbox)
	sums := make(chan int, creatures)
	var replies [creatures]chan int
	start := now()
	for i := range replies {
		replies[i] = make(chan int, 1)
		go func(me int) {
			colour, meetings := me%3, 0
			box <- visit{me, colour}
			for other := range replies[me] {
				meetings++
				if other != colour {
					colour = 3 - colour - other
				}
				box <- visit{me, colour}
			}
			sums <- meetings
		}(i)
	}
	for i := 0; i < n; i++ {
		a, b := <-box, <-box
		replies[a.who] <- b.colour
		replies[b.who] <- a.colour
	}
	for range replies {
		close(replies[(<-box).who])
	}
	sum := 0
	for range replies {
		sum += <-sums
	}
	check(sum == 2*n, "the number of meetings")
	return now() - start
}

func big(n int) float64 {
	const actors = 120
	type message struct {
		word string
		from int
	}
	each := (n + actors - 1) / actors
	var boxes [actors]chan message
	sink, sums := make(chan int, actors), make(chan int, actors)
	start := now()
	for i := range boxes {
		boxes[i] = make(chan message, actors+2)
	}
	for i := range boxes {
		go func(me int) {
			x, left, served := (me+1)*7919, each, 0
			ping := func() {
				x = random(x)
				boxes[x%actors] <- message{"ping", me}
			}
			ping()
			for m := range boxes[me] {
				if m.word == "ping" {
					served++
					boxes[m.from] <- message{"pong", me}
					continue
				}
				left--
				if left > 0 {
					ping()
				} else {
					sink <- me
				}
			}
			sums <- served
		}(i)
	}
	for range boxes {
		<-sink
	}
	sum := 0
	for i := range boxes {
		close(boxes[i])
	}
	for range boxes {
		sum += <-sums
	}
	check(sum == each*actors, "the number of pings")
	return (now() - start) * float64(n) / float64(actors*each)
}

func bounded(n int) float64 {
	const producers, consumers, size, effort = 40, 40, 50, 25
	each := (n + producers - 1) / producers
	buffer := make(chan int, size)
	made, used := make(chan int, producers), make(chan int, consumers)
	var wasted atomic.Int64
	start := now()
	for k := 1; k <= producers; k++ {
		go func(me int) {
			sum := 0
			for i := 1; i <= each; i++ {
				item := work(me*1000+i%1000, effort)
				sum += item % 1000
				buffer <- item
			}
			made <- sum
		}(k)
	}
	for k := 0; k < consumers; k++ {
		go func() {
			sum, waste := 0, 0
			for item := range buffer {
				waste += work(item, effort)
				sum += item % 1000
			}
			wasted.Add(int64(waste)) // else the compiler drops the work
			used <- sum
		}()
	}
	sum := 0
	for k := 0; k < producers; k++ {
		sum += <-made
	}
	close(buffer)
	for k := 0; k < consumers; k++ {
		sum -= <-used
	}
	check(sum == 0, "the sum of the items")
	return (now() - start) * float64(n) / float64(producers*each)
}
