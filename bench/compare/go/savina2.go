// savina2.go - benchmarks of the Savina suite, second part: protocols.
// SPDX-License-Identifier: MIT
//
// As savina.go.
package main

import "sync/atomic"

func init() {
	workloads["barber"] = workload{"haircuts/s", barber}
	workloads["smokers"] = workload{"rounds/s", smokers}
	workloads["bank"] = workload{"transfers/s", bank}
	workloads["radix"] = workload{"values/s", radix}
	workloads["filterbank"] = workload{"samples/s", filterbank}
}

type entry struct {
	word string
	who  int
}

func barber(n int) float64 {
	const seats, about, effort = 100, 500, 10
	room, street := make(chan entry, mailbox), make(chan entry, mailbox)
	chair, cuts := make(chan int, 1), make(chan int, 1)
	var boxes [about]chan string
	var free, away []int
	for i := range boxes {
		boxes[i] = make(chan string, 1)
		free = append(free, i)
	}
	go waitingRoom(boxes[:], room, chair, seats)
	go func() {
		count, waste := 0, 1
		room <- entry{"next", 0}
		for who := range chair {
			waste += work(who+1, effort)
			count++
			boxes[who] <- "cut"
			room <- entry{"next", 0}
		}
		check(waste > 0, "the work")
		cuts <- count
	}()
	customer := func(me int) {
		room <- entry{"enter", me}
		for <-boxes[me] == "full" {
			street <- entry{"full", me}
		}
		street <- entry{"done", me}
	}
	start := now()
	for made, done := 0, 0; done < n; {
		if made < n && len(free) > 0 {
			me := free[len(free)-1]
			free = free[:len(free)-1]
			made++
			go customer(me)
			continue
		}
		e := <-street
		if e.word == "full" {
			away = append(away, e.who)
			if len(away) == made-done { // nobody is left to make room
				room <- entry{"enter", e.who}
				away = away[:len(away)-1]
			}
			continue
		}
		done++
		free = append(free, e.who)
		if last := len(away) - 1; last >= 0 {
			room <- entry{"enter", away[last]}
			away = away[:last]
		}
	}
	seconds := now() - start
	room <- entry{"stop", 0}
	check(<-cuts == n, "the number of haircuts")
	return seconds
}

func waitingRoom(boxes []chan string, room chan entry, chair chan int,
	seats int) {
	var waiting []int
	asleep := false
	for {
		switch e := <-room; e.word {
		case "enter":
			if asleep {
				asleep = false
				chair <- e.who
			} else if len(waiting) < seats {
				waiting = append(waiting, e.who)
			} else {
				boxes[e.who] <- "full"
			}
		case "next":
			if len(waiting) > 0 {
				chair <- waiting[0]
				waiting = waiting[1:]
			} else {
				asleep = true
			}
		default:
			close(chair)
			return
		}
	}
}

func smokers(n int) float64 {
	const count = 200
	var boxes [count]chan int
	arbiter, sums := make(chan string, mailbox), make(chan int, count)
	var wasted atomic.Int64
	for i := range boxes {
		boxes[i] = make(chan int, mailbox)
		go func(box chan int) {
			smoked, waste := 0, 0
			for length := range box {
				arbiter <- "started"
				waste += work(length+1, length)
				smoked++
			}
			wasted.Add(int64(waste))
			sums <- smoked
		}(boxes[i])
	}
	x := 1
	start := now()
	for i := 0; i < n; i++ {
		x = random(x)
		boxes[x%count] <- x % 20
		<-arbiter
	}
	seconds := now() - start
	for _, box := range boxes {
		close(box)
	}
	sum := 0
	for range boxes {
		sum += <-sums
	}
	check(sum == n, "the number of cigarettes")
	return seconds
}

func bank(n int) float64 {
	const accounts, orders, start = 1000, 50, 1000000
	type message struct {
		word          string
		amount, other int
	}
	var boxes [accounts]chan message
	var answer, balances [accounts]chan int
	teller := make(chan int, mailbox)
	for i := range boxes {
		boxes[i] = make(chan message, mailbox)
		answer[i], balances[i] = make(chan int, 1), make(chan int, 1)
	}
	for i := range boxes {
		go func(me int) {
			balance := start
			for m := range boxes[me] {
				if m.word == "pay" {
					balance -= m.amount
					boxes[m.other] <- message{"take", m.amount, me}
					<-answer[me]
					teller <- m.amount
				} else {
					balance += m.amount
					answer[m.other] <- m.amount
				}
			}
			balances[me] <- balance
		}(i)
	}
	choose := func(x int) (next, from, to, amount int) {
		from = x % (accounts * 8 / 10)
		x = random(x)
		to = from + 1 + x%(accounts-from-1)
		x = random(x)
		return x, from, to, x % 100
	}
	begin := now()
	x, out := 1, 0
	for i := 0; i < n; i++ {
		if out == orders {
			<-teller
			out--
		}
		next, from, to, amount := choose(x)
		x = next
		boxes[from] <- message{"pay", amount, to}
		out++
	}
	for ; out > 0; out-- {
		<-teller
	}
	seconds := now() - begin
	var expected [accounts]int
	x = 1
	for i := 0; i < n; i++ {
		next, from, to, amount := choose(x)
		x = next
		expected[from] -= amount
		expected[to] += amount
	}
	for i := range boxes {
		close(boxes[i])
		check(<-balances[i] == start+expected[i], "a balance")
	}
	return seconds
}

func radix(n int) float64 {
	const bits = 31
	first := make(chan int, mailbox)
	start := now()
	input := first
	for k := 0; k < bits; k++ {
		output := make(chan int, mailbox)
		go func(bit int, input, output chan int) {
			var kept []int
			for i := 0; i < n; i++ {
				v := <-input
				if v&bit == 0 {
					output <- v
				} else {
					kept = append(kept, v)
				}
			}
			for _, v := range kept {
				output <- v
			}
		}(1<<k, input, output)
		input = output
	}
	go func() {
		x := 1
		for i := 0; i < n; i++ {
			x = random(x)
			first <- x
		}
	}()
	last, sum := 0, 0
	for i := 0; i < n; i++ {
		v := <-input
		check(v >= last, "a number that is smaller than the one before")
		last, sum = v, sum+v
	}
	seconds := now() - start
	for i, x := 0, 1; i < n; i++ {
		x = random(x)
		sum -= x
	}
	check(sum == 0, "the sum of the numbers")
	return seconds
}

const (
	filterChannels = 8
	filterTaps     = 8
)

type part func(i, v int) int

func delayPart(length int) part {
	line := make([]int, length)
	return func(i, v int) int {
		old := line[i%length]
		line[i%length] = v
		return old
	}
}

func firPart(weight int) part {
	line := make([]int, filterTaps)
	return func(i, v int) int {
		line[i%filterTaps] = v
		sum := 0
		for k := 0; k < filterTaps; k++ {
			sum += line[(i-k+filterTaps)%filterTaps] * (weight + k)
		}
		return sum % 65521
	}
}

func samplePart(i, v int) int {
	if i%filterChannels == 0 {
		return v
	}
	return 0
}

func filterParts(k int) []part {
	return []part{delayPart(k), firPart(k), samplePart,
		delayPart(filterChannels + k), firPart(2 * k)}
}

func filterbank(n int) float64 {
	var inputs, outputs [filterChannels]chan int
	start := now()
	for k := range inputs {
		inputs[k] = make(chan int, mailbox)
		input := inputs[k]
		for _, p := range filterParts(k + 1) {
			output := make(chan int, mailbox)
			go func(p part, input, output chan int) {
				for i := 0; i < n; i++ {
					output <- p(i, <-input)
				}
			}(p, input, output)
			input = output
		}
		outputs[k] = input
	}
	go func() {
		for i := 1; i <= n; i++ {
			for _, input := range inputs {
				input <- i % 97
			}
		}
	}()
	sum := 0
	for i := 0; i < n; i++ {
		for _, output := range outputs {
			sum = (sum*3 + <-output) % 65521
		}
	}
	seconds := now() - start
	var parts [filterChannels][]part
	for k := range parts {
		parts[k] = filterParts(k + 1)
	}
	expected := 0
	for i := 0; i < n; i++ {
		for k := range parts {
			v := (i + 1) % 97
			for _, p := range parts[k] {
				v = p(i, v)
			}
			expected = (expected*3 + v) % 65521
		}
	}
	check(sum == expected, "the sum")
	return seconds
}
