%% channels.erl - what messages, processes and timers cost.
%% SPDX-License-Identifier: MIT
%%
%% The counterparts of bench/*.lua; see bench/README.md for what a step is.
%% Mailboxes have no bound, so what is buffered elsewhere has credit here: a
%% sender asks for more in time, and stops when it has none.
-module(channels).
-export([workload/1]).
-import(compare, [now/0, check/2]).
-compile({no_auto_import, [now/0]}).

workload(pingpong) -> {"round trips/s", fun pingpong/1};
workload(buffered) -> {"messages/s", fun buffered/1};
workload(fanin) -> {"messages/s", fun fanin/1};
workload(select2) -> {"selects/s", fun(N) -> choose(N, 2) end};
workload(select8) -> {"selects/s", fun(N) -> choose(N, 8) end};
workload(ring) -> {"hops/s", fun ring/1};
workload(spawn) -> {"tasks/s", fun spawning/1};
workload(skynet) -> {"leaves/s", fun skynet/1};
workload(timers) -> {"CPU s", fun timers/1};
workload(parked) -> {"B", fun parked/1};
workload(_) -> none.

%% -- ping-pong ---------------------------------------------------------------

pingpong(N) ->
    Me = self(),
    Pong = spawn_link(fun() -> pong(N, Me) end),
    Start = now(),
    ping(N, Pong),
    now() - Start.

ping(0, _) -> ok;
ping(N, Pong) ->
    Pong ! N,
    receive N -> ping(N - 1, Pong) end.

pong(0, _) -> ok;
pong(N, Ping) ->
    receive I -> Ping ! I end,
    pong(N - 1, Ping).

%% -- buffered and fan-in -----------------------------------------------------

-define(PART, 512). % a sender is never ahead by more than twice that

%% Credit is how much may be sent before the next answer must have come.
produce(0, _, _) -> ok;
produce(N, 0, To) ->
    receive more -> produce(N, ?PART, To) end;
produce(N, Credit, To) ->
    To ! N,
    if N rem ?PART =:= 0 -> To ! {more, self()};
       true -> ok
    end,
    produce(N - 1, Credit - 1, To).

consume(0, Sum) -> Sum;
consume(N, Sum) ->
    receive
        {more, From} -> From ! more, consume(N, Sum);
        V -> consume(N - 1, Sum + V)
    end.

buffered(N) -> transfer(1, N).

fanin(N) -> transfer(4, N).

transfer(Producers, N) ->
    Share = (N + Producers - 1) div Producers,
    Me = self(),
    Start = now(),
    [spawn_link(fun() -> produce(Share, 2 * ?PART, Me) end) ||
        _ <- lists:seq(1, Producers)],
    Sum = consume(Share * Producers, 0),
    Seconds = now() - Start,
    check(Sum =:= Producers * Share * (Share + 1) div 2, sum_of_messages),
    Seconds * N / (Share * Producers).

%% -- select ------------------------------------------------------------------

%% Each sender has its message taken before it sends the next.
choose(N, Width) ->
    Me = self(),
    Senders = [spawn_link(fun() -> offer(Me) end) || _ <- lists:seq(1, Width)],
    Start = now(),
    take(N),
    Seconds = now() - Start,
    [begin unlink(P), exit(P, kill) end || P <- Senders],
    flush(),
    Seconds.

offer(To) ->
    To ! {self(), 1},
    receive taken -> offer(To) end.

take(0) -> ok;
take(N) ->
    receive {From, 1} -> From ! taken end,
    take(N - 1).

flush() ->
    receive _ -> flush() after 0 -> ok end.

%% -- ring --------------------------------------------------------------------

ring(N) ->
    Size = 1000,
    Laps = (N + Size - 1) div Size,
    Me = self(),
    First = lists:foldl(fun(_, Next) ->
                                spawn_link(fun() -> pass(Next) end)
                        end, Me, lists:seq(2, Size)),
    lap(1, 1, First),
    Start = now(),
    lap(1, Laps, First),
    Seconds = now() - Start,
    First ! stop,
    receive stop -> ok end,
    Seconds * N / (Laps * Size).

pass(Next) ->
    receive
        stop -> Next ! stop;
        Token -> Next ! Token, pass(Next)
    end.

lap(I, Laps, _) when I > Laps -> ok;
lap(I, Laps, First) ->
    First ! I,
    receive I -> lap(I + 1, Laps, First) end.

%% -- spawn -------------------------------------------------------------------

spawning(N) ->
    Start = now(),
    batches(N),
    now() - Start.

batches(N) when N =< 0 -> ok;
batches(N) ->
    Monitors = [element(2, spawn_monitor(fun() -> ok end)) ||
                   _ <- lists:seq(1, min(N, 1000))],
    [receive {'DOWN', M, _, _, normal} -> ok end || M <- Monitors],
    batches(N - 1000).

%% -- skynet ------------------------------------------------------------------

skynet(N) ->
    Size = size(1, N),
    Me = self(),
    Start = now(),
    spawn_link(fun() -> node(Me, 0, Size) end),
    Sum = receive S -> S end,
    Seconds = now() - Start,
    check(Sum =:= Size * (Size - 1) div 2, sum_of_leaves),
    Seconds * N / Size.

size(Size, N) when Size >= N -> Size;
size(Size, N) -> size(Size * 10, N).

node(Parent, Number, 1) ->
    Parent ! Number;
node(Parent, Number, Size) ->
    Me = self(),
    Part = Size div 10,
    [spawn(fun() -> node(Me, Number + I * Part, Part) end) ||
        I <- lists:seq(0, 9)],
    Parent ! sum(10, 0).

sum(0, Sum) -> Sum;
sum(N, Sum) -> receive V -> sum(N - 1, Sum + V) end.

%% -- timers ------------------------------------------------------------------

%% Sleeps end between half a second and a second and a half, if there are a
%% million; sooner for fewer.
timers(N) ->
    Me = self(),
    Start = now(),
    sleepers(0, N, Me),
    N = sum(N, 0),
    Seconds = now() - Start,
    check(Seconds >= N * 0.5e-6, sleepers),
    Seconds.

sleepers(N, N, _) -> ok;
sleepers(I, N, To) ->
    Time = (500 + I * 7919 rem 1000) * N div 1000000,
    spawn(fun() -> timer:sleep(Time + 1), To ! 1 end),
    sleepers(I + 1, N, To).

%% -- memory ------------------------------------------------------------------

parked(N) ->
    hold(100),
    Before = resident(),
    Held = hold(N),
    Bytes = (resident() - Before) / N,
    [exit(P, kill) || P <- Held],
    Bytes.

hold(N) ->
    Me = self(),
    Held = [spawn(fun() -> Me ! here, receive go -> ok end end) ||
               _ <- lists:seq(1, N)],
    [receive here -> ok end || _ <- Held],
    garbage_collect(),
    Held.

resident() ->
    [_, Pages | _] = string:lexemes(
                       os:cmd("cat /proc/" ++ os:getpid() ++ "/statm"), " "),
    Page = list_to_integer(string:trim(os:cmd("getconf PAGESIZE"))),
    list_to_integer(Pages) * Page.
