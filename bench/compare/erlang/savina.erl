%% savina.erl - benchmarks of the Savina suite on Erlang processes.
%% SPDX-License-Identifier: MIT
%%
%% The counterparts of ../lua/*.lua; see there for what each does and what a
%% step is. Mailboxes have no bound here, and nobody waits to send.
-module(savina).
-export([workload/1]).
-import(compare, [now/0, check/2]).
-compile({no_auto_import, [now/0]}).

workload(throughput) -> {"messages/s", fun throughput/1};
workload(creation) -> {"tasks/s", fun creation/1};
workload(counting) -> {"messages/s", fun counting/1};
workload(chameneos) -> {"meetings/s", fun chameneos/1};
workload(big) -> {"messages/s", fun big/1};
workload(bounded) -> {"items/s", fun bounded/1};
workload(barber) -> {"haircuts/s", fun barber/1};
workload(smokers) -> {"rounds/s", fun smokers/1};
workload(bank) -> {"transfers/s", fun bank/1};
workload(radix) -> {"values/s", fun radix/1};
workload(filterbank) -> {"samples/s", fun filterbank/1}.

random(X) -> X * 16807 rem 2147483647.

work(X, 0) -> X;
work(X, N) -> work(random(X), N - 1).

%% Runs F in a process; gather/1 waits for what it returns.
actor(F) ->
    Me = self(),
    spawn_link(fun() -> Me ! {result, self(), F()} end).

gather(Actors) ->
    [receive {result, A, Result} -> Result end || A <- Actors].

numbered(N, F) -> [F(I) || I <- lists:seq(1, N)].

times(0, _) -> ok;
times(N, F) -> F(), times(N - 1, F).

%% -- fork-join ---------------------------------------------------------------

arithmetic(V) ->
    X = math:sin(V),
    if X * X =< 1 -> V;
       true -> 0
    end.

throughput(N) ->
    Each = (N + 59) div 60,
    Start = now(),
    Workers = numbered(60, fun(_) -> actor(fun() -> add_up(Each, 0) end) end),
    deal(1, Each, Workers),
    Sums = gather(Workers),
    check(lists:all(fun(S) -> S =:= Each * (Each + 1) div 2 end, Sums), sums),
    (now() - Start) * N / (60 * Each).

add_up(0, Sum) -> Sum;
add_up(N, Sum) -> receive V -> add_up(N - 1, Sum + arithmetic(V)) end.

deal(I, Each, _) when I > Each -> ok;
deal(I, Each, Workers) ->
    [W ! I || W <- Workers],
    deal(I + 1, Each, Workers).

creation(N) ->
    Half = (N + 1) div 2,
    Me = self(),
    Start = now(),
    [spawn_link(fun() -> create(Half, Me) end) || _ <- [1, 2]],
    Sum = add_up(2 * Half, 0),
    check(Sum =:= Half * (Half + 1), the_sum),
    (now() - Start) * N / (2 * Half).

create(0, _) -> ok;
create(I, To) ->
    spawn(fun() -> receive V -> To ! arithmetic(V) end end) ! I,
    create(I - 1, To).

%% -- counting ----------------------------------------------------------------

counting(N) ->
    Me = self(),
    Start = now(),
    Counter = spawn_link(fun() -> count(0, Me) end),
    times(N, fun() -> Counter ! up end),
    Counter ! get,
    receive {count, Count} -> check(Count =:= N, the_count) end,
    now() - Start.

count(N, To) ->
    receive
        up -> count(N + 1, To);
        get -> To ! {count, N}
    end.

%% -- chameneos ---------------------------------------------------------------

chameneos(N) ->
    Mall = self(),
    Start = now(),
    Creatures = numbered(100, fun(I) ->
                                      actor(fun() ->
                                                    meet(I rem 3, 0, Mall)
                                            end)
                              end),
    times(N, fun pair/0),
    times(100, fun() -> receive {visit, A, _} -> A ! stop end end),
    check(lists:sum(gather(Creatures)) =:= 2 * N, meetings),
    now() - Start.

pair() ->
    receive {visit, A, Red} ->
            receive {visit, B, Blue} ->
                    A ! Blue,
                    B ! Red
            end
    end.

meet(Colour, Meetings, Mall) ->
    Mall ! {visit, self(), Colour},
    receive
        stop -> Meetings;
        Colour -> meet(Colour, Meetings + 1, Mall);
        Other -> meet(3 - Colour - Other, Meetings + 1, Mall)
    end.

%% -- big ---------------------------------------------------------------------

big(N) ->
    Each = (N + 119) div 120,
    Sink = self(),
    Start = now(),
    Actors = numbered(120, fun(I) ->
                                   actor(fun() -> big(I, Each, Sink) end)
                           end),
    All = list_to_tuple(Actors),
    [A ! {all, All} || A <- Actors],
    times(120, fun() -> receive through -> ok end end),
    [A ! stop || A <- Actors],
    check(lists:sum(gather(Actors)) =:= 120 * Each, pings),
    (now() - Start) * N / (120 * Each).

big(Me, N, Sink) ->
    receive {all, All} -> big(ping(Me * 7919, All), N, 0, All, Sink) end.

ping(X, All) ->
    Next = random(X),
    element(Next rem 120 + 1, All) ! {ping, self()},
    Next.

big(X, Left, Served, All, Sink) ->
    receive
        {ping, From} ->
            From ! pong,
            big(X, Left, Served + 1, All, Sink);
        pong when Left > 1 ->
            big(ping(X, All), Left - 1, Served, All, Sink);
        pong ->
            Sink ! through,
            big(X, 0, Served, All, Sink);
        stop ->
            Served
    end.

%% -- bounded buffer ----------------------------------------------------------

%% The buffer is a process: a producer asks for room, a consumer for an item.
bounded(N) ->
    Each = (N + 39) div 40,
    Start = now(),
    Buffer = spawn_link(fun() -> buffer(queue:new(), 0, [], [], 40) end),
    Producers = numbered(40, fun(I) ->
                                     actor(fun() ->
                                                   make(I, 1, Each, 0, Buffer)
                                           end)
                             end),
    Consumers = numbered(40, fun(_) ->
                                     actor(fun() -> use(0, Buffer) end)
                             end),
    check(lists:sum(gather(Producers)) =:= lists:sum(gather(Consumers)),
          sum_of_items),
    (now() - Start) * N / (40 * Each).

%% Items, how many are held or promised, who wants an item, who wants room, how
%% many producers are left.
buffer(Items, Held, [To | Takers], Makers, Left) ->
    case queue:out(Items) of
        {{value, Item}, Rest} ->
            To ! {item, Item},
            case Makers of
                [] -> buffer(Rest, Held - 1, Takers, [], Left);
                [M | More] -> M ! room, buffer(Rest, Held, Takers, More, Left)
            end;
        {empty, _} when Left =:= 0 ->
            To ! stop,
            buffer(Items, Held, Takers, Makers, Left);
        {empty, _} ->
            buffering(Items, Held, [To | Takers], Makers, Left)
    end;
buffer(Items, Held, [], Makers, Left) ->
    buffering(Items, Held, [], Makers, Left).

buffering(Items, Held, Takers, Makers, Left) ->
    receive
        {make, M} when Held < 50 ->
            M ! room,
            buffering(Items, Held + 1, Takers, Makers, Left);
        {make, M} ->
            buffering(Items, Held, Takers, Makers ++ [M], Left);
        {item, Item} ->
            buffer(queue:in(Item, Items), Held, Takers, Makers, Left);
        {take, T} ->
            buffer(Items, Held, Takers ++ [T], Makers, Left);
        ended ->
            buffer(Items, Held, Takers, Makers, Left - 1)
    end.

make(_, I, Each, Sum, Buffer) when I > Each ->
    Buffer ! ended,
    Sum;
make(Me, I, Each, Sum, Buffer) ->
    Item = work(Me * 1000 + I rem 1000, 25),
    Buffer ! {make, self()},
    receive room -> Buffer ! {item, Item} end,
    make(Me, I + 1, Each, Sum + Item rem 1000, Buffer).

use(Sum, Buffer) ->
    Buffer ! {take, self()},
    receive
        {item, Item} ->
            work(Item, 25),
            use(Sum + Item rem 1000, Buffer);
        stop ->
            Sum
    end.

%% -- sleeping barber ---------------------------------------------------------

barber(N) ->
    Room = spawn_link(fun() -> room(queue:new(), 0, none) end),
    Barber = actor(fun() -> Room ! {next, self()}, cut(0, Room) end),
    Start = now(),
    town(N, 0, 0, [], Room),
    Seconds = now() - Start,
    Room ! {stop, Barber},
    check(gather([Barber]) =:= [N], haircuts),
    Seconds.

%% N customers, of which so many have come and gone; who will come back.
town(N, _, N, _, _) -> ok;
town(N, Made, Done, Away, Room) when Made < N, Made - Done < 500 ->
    Street = self(),
    spawn_link(fun() -> Room ! {enter, self()}, customer(Street) end),
    town(N, Made + 1, Done, Away, Room);
town(N, Made, Done, Away, Room) ->
    receive
        {full, Who} when length(Away) + 1 =:= Made - Done ->
            Room ! {enter, Who}, % nobody is left to make room
            town(N, Made, Done, Away, Room);
        {full, Who} -> town(N, Made, Done, [Who | Away], Room);
        done ->
            case Away of
                [] -> town(N, Made, Done + 1, [], Room);
                [Who | More] ->
                    Room ! {enter, Who},
                    town(N, Made, Done + 1, More, Room)
            end
    end.

customer(Street) ->
    receive
        full -> Street ! {full, self()}, customer(Street);
        cut -> Street ! done
    end.

room(Seats, Taken, Asleep) ->
    receive
        {enter, Who} when Asleep =/= none ->
            Asleep ! {cut, Who},
            room(Seats, Taken, none);
        {enter, Who} when Taken < 100 ->
            room(queue:in(Who, Seats), Taken + 1, none);
        {enter, Who} ->
            Who ! full,
            room(Seats, Taken, none);
        {next, Barber} when Taken =:= 0 ->
            room(Seats, 0, Barber);
        {next, Barber} ->
            {{value, Who}, Rest} = queue:out(Seats),
            Barber ! {cut, Who},
            room(Rest, Taken - 1, none);
        {stop, Barber} ->
            Barber ! stop
    end.

cut(Cuts, Room) ->
    receive
        {cut, Who} ->
            work(Cuts + 1, 10),
            Who ! cut,
            Room ! {next, self()},
            cut(Cuts + 1, Room);
        stop ->
            Cuts
    end.

%% -- cigarette smokers -------------------------------------------------------

smokers(N) ->
    Arbiter = self(),
    Smokers = numbered(200, fun(_) ->
                                    actor(fun() -> smoke(0, Arbiter) end)
                            end),
    Start = now(),
    arbitrate(N, 1, list_to_tuple(Smokers)),
    Seconds = now() - Start,
    [S ! stop || S <- Smokers],
    check(lists:sum(gather(Smokers)) =:= N, cigarettes),
    Seconds.

arbitrate(0, _, _) -> ok;
arbitrate(N, X, Smokers) ->
    Next = random(X),
    element(Next rem 200 + 1, Smokers) ! Next rem 20,
    receive started -> arbitrate(N - 1, Next, Smokers) end.

smoke(Smoked, Arbiter) ->
    receive
        stop -> Smoked;
        Length ->
            Arbiter ! started,
            work(Length + 1, Length),
            smoke(Smoked + 1, Arbiter)
    end.

%% -- bank transaction --------------------------------------------------------

-define(ACCOUNTS, 1000).

bank(N) ->
    Teller = self(),
    Accounts = numbered(?ACCOUNTS, fun(_) ->
                                           actor(fun() ->
                                                         account(1000000, Teller)
                                                 end)
                                   end),
    All = list_to_tuple(Accounts),
    Start = now(),
    order(N, 50, 1, All),
    Seconds = now() - Start,
    [A ! stop || A <- Accounts],
    check(gather(Accounts) =:= tuple_to_list(balances(N, 1, erlang:make_tuple(
        ?ACCOUNTS, 1000000))), balances),
    Seconds.

order(N, Free, X, All) when N > 0, Free > 0 ->
    {Next, From, To, Amount} = choose(X),
    element(From, All) ! {pay, Amount, element(To, All)},
    order(N - 1, Free - 1, Next, All);
order(0, 50, _, _) -> ok;
order(N, Free, X, All) ->
    receive paid -> order(N, Free + 1, X, All) end.

choose(X) ->
    From = X rem (?ACCOUNTS * 8 div 10) + 1,
    Y = random(X),
    To = From + 1 + Y rem (?ACCOUNTS - From),
    Z = random(Y),
    {Z, From, To, Z rem 100}.

account(Balance, Teller) ->
    receive
        {pay, Amount, Other} ->
            Other ! {take, Amount, self()},
            receive taken -> Teller ! paid end,
            account(Balance - Amount, Teller);
        {take, Amount, From} ->
            From ! taken,
            account(Balance + Amount, Teller);
        stop ->
            Balance
    end.

balances(0, _, Balances) -> Balances;
balances(N, X, Balances) ->
    {Next, From, To, Amount} = choose(X),
    Paid = setelement(From, Balances, element(From, Balances) - Amount),
    balances(N - 1, Next, setelement(To, Paid, element(To, Paid) + Amount)).

%% -- radix sort --------------------------------------------------------------

radix(N) ->
    Me = self(),
    Start = now(),
    First = lists:foldl(fun(K, Next) ->
                                spawn_link(fun() ->
                                                   stage(N, 1 bsl K, Next, [])
                                           end)
                        end, Me, lists:seq(30, 0, -1)),
    spawn_link(fun() -> source(N, 1, First) end),
    Sum = sorted(N, 0, 0),
    Seconds = now() - Start,
    check(Sum =:= sum(N, 1, 0), sum_of_numbers),
    Seconds.

source(0, _, _) -> ok;
source(N, X, To) ->
    Next = random(X),
    To ! Next,
    source(N - 1, Next, To).

sum(0, _, Sum) -> Sum;
sum(N, X, Sum) ->
    Next = random(X),
    sum(N - 1, Next, Sum + Next).

stage(0, _, Next, Kept) ->
    [Next ! V || V <- lists:reverse(Kept)];
stage(N, Bit, Next, Kept) ->
    receive
        V when V band Bit =:= 0 ->
            Next ! V,
            stage(N - 1, Bit, Next, Kept);
        V ->
            stage(N - 1, Bit, Next, [V | Kept])
    end.

sorted(0, _, Sum) -> Sum;
sorted(N, Last, Sum) ->
    receive V ->
            check(V >= Last, order),
            sorted(N - 1, V, Sum + V)
    end.

%% -- filter bank -------------------------------------------------------------

%% A part is {fun(I, V, Line) -> {Out, Line}, Line}; a line holds the last
%% values, newest first, or in a queue.
parts(K) ->
    [delay(K), fir(K), {fun sample/3, none}, delay(8 + K), fir(2 * K)].

delay(Length) ->
    {fun(_, V, Line) ->
             {{value, Old}, Rest} = queue:out(Line),
             {Old, queue:in(V, Rest)}
     end, queue:from_list(lists:duplicate(Length, 0))}.

fir(Weight) ->
    {fun(_, V, Line) ->
             New = [V | lists:droplast(Line)],
             {weigh(New, Weight, 0) rem 65521, New}
     end, lists:duplicate(8, 0)}.

weigh([], _, Sum) -> Sum;
weigh([V | More], Weight, Sum) -> weigh(More, Weight + 1, Sum + V * Weight).

sample(I, V, Line) when I rem 8 =:= 0 -> {V, Line};
sample(_, _, Line) -> {0, Line}.

filterbank(N) ->
    Me = self(),
    Start = now(),
    Inputs = numbered(8, fun(K) ->
        Last = fun(V) -> Me ! {K, V} end,
        lists:foldl(fun(Part, Next) ->
                            P = spawn_link(fun() ->
                                                   part(0, N, Part, Next)
                                           end),
                            fun(V) -> P ! V end
                    end, Last, lists:reverse(parts(K)))
    end),
    spawn_link(fun() ->
                       [[Input(I rem 97) || Input <- Inputs] ||
                           I <- lists:seq(1, N)]
               end),
    Sum = combine(N, 0),
    Seconds = now() - Start,
    check(Sum =:= expected(0, N, [parts(K) || K <- lists:seq(1, 8)], 0),
          the_sum),
    Seconds.

part(N, N, _, _) -> ok;
part(I, N, {F, Line}, Next) ->
    receive V ->
            {Out, New} = F(I, V, Line),
            Next(Out),
            part(I + 1, N, {F, New}, Next)
    end.

combine(0, Sum) -> Sum;
combine(N, Sum) ->
    combine(N - 1, lists:foldl(fun(K, S) ->
                                       receive {K, V} ->
                                               (S * 3 + V) rem 65521
                                       end
                               end, Sum, lists:seq(1, 8))).

expected(N, N, _, Sum) -> Sum;
expected(I, N, Channels, Sum) ->
    {Next, New} = lists:mapfoldl(
        fun(Parts, S) ->
                {More, V} = lists:mapfoldl(
                    fun({F, Line}, V) ->
                            {Out, L} = F(I, V, Line),
                            {{F, L}, Out}
                    end, (I + 1) rem 97, Parts),
                {More, (S * 3 + V) rem 65521}
        end, Sum, Channels),
    expected(I + 1, N, Next, New).
