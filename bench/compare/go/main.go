// main.go - runs one of casting's workloads on goroutines and channels.
// SPDX-License-Identifier: MIT
//
// Usage: compare WORKLOAD STEPS | compare WORKLOAD =SECONDS
//
// Runs so many steps, or as many as take about so many seconds. Prints one line
// in the format of bench/common.lua's --raw: name, value, unit, and "key=number"
// for the rest, with tabs between them. A workload checks its own result and
// panics if it is wrong. GOMAXPROCS says on how many threads.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A workload does n steps and returns how many seconds they took.
type workload struct {
	unit string
	run  func(n int) float64
}

var workloads = map[string]workload{
	"pingpong": {"round trips/s", pingpong},
	"buffered": {"messages/s", buffered},
	"fanin":    {"messages/s", fanin},
	"select2":  {"selects/s", func(n int) float64 { return choose(n, 2) }},
	"select8":  {"selects/s", func(n int) float64 { return choose(n, 8) }},
	"ring":     {"hops/s", ring},
	"spawn":    {"tasks/s", spawn},
	"skynet":   {"leaves/s", skynet},
	"timers":   {"CPU s", timers},
	"parked":   {"B", parked},
}

// Those that are run once; of the others, the fastest of three runs counts.
var once = map[string]bool{"skynet": true, "timers": true, "parked": true}

// now is the monotonic clock in seconds.
func now() float64 {
	return time.Since(began).Seconds()
}

var began = time.Now()

// cpu is the time of all processors that this process has used.
func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Sec+u.Stime.Sec) +
		float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func check(ok bool, what string) {
	if !ok {
		panic("wrong result: " + what)
	}
}

func calibrate(run func(n int) float64, seconds float64) int {
	n := 16
	spent := run(n)
	for spent < 0.6*seconds && n < 1e9 {
		n = int(float64(n) * math.Max(1.5, math.Min(8, 1.1*seconds/spent)))
		spent = run(n)
	}
	return n
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(runtime.Version())
		return
	}
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: compare WORKLOAD STEPS|=SECONDS")
		os.Exit(2)
	}
	name := os.Args[1]
	w, ok := workloads[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "compare: no workload "+name)
		os.Exit(2)
	}
	var n int
	if amount := os.Args[2]; strings.HasPrefix(amount, "=") {
		seconds, err := strconv.ParseFloat(amount[1:], 64)
		check(err == nil && seconds > 0, "the number of seconds")
		n = calibrate(w.run, seconds)
	} else {
		steps, err := strconv.Atoi(amount)
		check(err == nil && steps > 0, "the number of steps")
		n = steps
	}
	start := cpu()
	seconds := w.run(n)
	used := cpu() - start
	for i := 0; i < 2 && !once[name]; i++ {
		start = cpu()
		if s := w.run(n); s < seconds {
			seconds, used = s, cpu()-start
		}
	}
	value := float64(n) / seconds
	switch w.unit {
	case "CPU s":
		value = used
	case "B":
		value = seconds
	}
	fmt.Printf("%s\t%.17g\t%s\tsteps=%d\tseconds=%.17g\tcpu=%.17g\n",
		name, value, w.unit, n, seconds, used)
}
